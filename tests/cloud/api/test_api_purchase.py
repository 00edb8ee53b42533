"""From an accepted proposal to its fulfilment: order, ASN of the supplier, receipt at the door, all through the public API."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from headquarters import DOCK, SUPPLIER, Gateway, Headquarters, movement

from cloud.store import schema
from cloud.store.database import writing
from vocabulary.recommendation import Recommendation

NOW = 1_767_600_000_000_000
SSCC, CASE = "00/106141412345678908", "01/09506000134352/21/4711"


async def call(
    headquarters: Headquarters, key: dict[str, str], method: str, path: str, status: int = 200, **json: Any
) -> Any:
    answer = await headquarters.client.request(method, f"/api/v1/{path}", headers=key, json=json or None)
    assert answer.status_code == status, answer.text
    return answer.json()


async def propose(headquarters: Headquarters, name: str = "REC-1", quantity: int = 48) -> None:
    proposal = Recommendation(
        name, "purchase", "proposed", "north", "A", quantity, from_="acme", to="north", by="2026-01-20"
    )
    async with writing(headquarters.engine) as conn:
        await conn.execute(
            schema.recommendation.insert().values(
                site_id="north", id=name, kind="purchase", state="proposed", item="A", partner="acme", quantity=quantity,
                by_day="2026-01-20", created_at=NOW, changed_at=NOW, body=msgspec.json.encode(proposal),
            )
        )  # fmt: skip


@pytest.fixture
async def gateway(headquarters: Headquarters) -> Gateway:
    key = await headquarters.key("owner")
    for kind, rows in {
        "sites": [{"id": "north", "zone": "Europe/Berlin", "undo_minutes": 0}],
        "items": [{"id": "A", "name": "Apples"}],
        "suppliers": [{"id": "acme"}, {"id": "other"}],
        "terms": [{"site_id": "north", "item": "A", "supplier": "acme", "price_micro": 1_250_000}],
    }.items():
        assert (await headquarters.client.put(f"/api/v1/{kind}", json=rows, headers=key)).status_code == 200
    return await headquarters.add_gateway()


async def test_a_proposal_becomes_an_order_an_asn_a_receipt_and_is_fulfilled(
    headquarters: Headquarters, gateway: Gateway
) -> None:
    await propose(headquarters)
    approver, acme = await headquarters.key("approver", "north"), await headquarters.key("partner", "", "acme")
    accepted = await call(headquarters, approver, "POST", "recommendations/north/REC-1/decision", action="accept")
    order = accepted["document"]
    again = await call(headquarters, approver, "POST", "recommendations/north/REC-1/decision", 409, action="accept")
    assert "already accepted" in again["detail"]

    orders = (await call(headquarters, acme, "GET", "documents?type=expected-receipt&state=open"))["items"]
    assert [(one["id"], one["partner"], one["announces"]) for one in orders] == [(order, "acme", "")]
    units = [{"unit": SSCC}, {"unit": CASE, "container": SSCC, "holds": [{"item": "A", "quantity": 48}]}]
    notice = {"site": "north", "type": "expected-receipt", "id": "ASN-7", "source": order, "units": units}
    announced = await call(headquarters, acme, "POST", "documents", 201, **notice)
    assert announced["document"]["lines"] == [{"line": 1, "item": "A", "quantity": 48}]
    assert (await call(headquarters, acme, "POST", "documents", 201, **notice))["row"]["revision"] == 1
    await call(headquarters, acme, "POST", "documents", 409, **(notice | {"units": units[:1]}))
    row = await call(headquarters, approver, "GET", "availability?site=north")
    assert row["items"] == []

    told = (await gateway.send("GET", f"/v1/gateways/{gateway.id}/downlink")).json()["documents"]
    assert [one["id"] for one in told] == [order, "ASN-7"]
    gateway.record(movement("receiving", SUPPLIER, DOCK, NOW, [("A", 20)], document="ASN-7", document_line=1))
    await gateway.push()
    detail = await call(headquarters, approver, "GET", f"documents/north/{order}")
    assert detail["row"]["progress"] == "partial"
    assert detail["lines"] == [{"line": 1, "item": "A", "expected": 48, "done": 20}]
    assert detail["notices"] == ["ASN-7"]
    assert (await call(headquarters, approver, "GET", "availability?site=north"))["items"][0]["on_order"] == 28

    gateway.record(movement("receiving", SUPPLIER, DOCK, NOW + 1, [("A", 28)], document="ASN-7", document_line=1))
    version = (await gateway.push()).json()["downlink"]
    for name in (order, "ASN-7"):
        done = await call(headquarters, approver, "GET", f"documents/north/{name}")
        assert (done["row"]["state"], done["row"]["progress"]) == ("closed", "complete")
    assert (await call(headquarters, approver, "GET", "recommendations/north/REC-1"))["state"] == "fulfilled"
    downlink = (await gateway.send("GET", f"/v1/gateways/{gateway.id}/downlink")).json()
    assert downlink["documents"] == []
    assert downlink["version"] == version

    gateway.record(
        movement("receiving", DOCK, SUPPLIER, NOW + 1, [("A", 28)], document="ASN-7", document_line=1, reverses=2)
    )
    await gateway.push()
    assert (await call(headquarters, approver, "GET", f"documents/north/{order}"))["row"]["state"] == "open"


async def test_a_partner_sees_and_does_only_its_own(headquarters: Headquarters, gateway: Gateway) -> None:
    await propose(headquarters)
    approver = await headquarters.key("approver", "north")
    order = (await call(headquarters, approver, "POST", "recommendations/north/REC-1/decision", action="accept"))[
        "document"
    ]
    other = await headquarters.key("partner", "", "other")
    assert (await call(headquarters, other, "GET", "documents"))["items"] == []
    await call(headquarters, other, "GET", f"documents/north/{order}", 404)
    entry = {"site": "north", "type": "expected-receipt", "source": order, "units": [{"unit": SSCC}]}
    assert (
        "no purchase order of yours" in (await call(headquarters, other, "POST", "documents", 400, **entry))["detail"]
    )
    await call(headquarters, other, "POST", "documents", 403, **(entry | {"partner": "acme"}))
    await call(headquarters, other, "POST", f"documents/north/{order}/end", 404, state="cancelled")
    acme = await headquarters.key("partner", "", "acme")
    await call(headquarters, acme, "POST", f"documents/north/{order}/end", 403, state="cancelled")
    for path in ("stock", "recommendations", "items", "gateways", "keys", "audit"):
        await call(headquarters, acme, "GET", path, 403)


async def test_orders_are_demand_of_their_day_until_cancelled(headquarters: Headquarters, gateway: Gateway) -> None:
    planner = await headquarters.key("planner", "north")
    due = NOW + 3 * 86_400_000_000
    entry = {
        "site": "north",
        "type": "outbound-order",
        "id": "SO-1",
        "partner": "shop",
        "due": due,
        "lines": [{"line": 1, "item": "A", "quantity": 7}],
    }
    await call(headquarters, planner, "POST", "documents", 201, **entry)
    demand = (await call(headquarters, planner, "GET", "demand?site=north&item=A"))["items"]
    assert [(one["day"], one["ordered"]) for one in demand] == [("2026-01-08", 7)]
    await call(
        headquarters,
        planner,
        "PUT",
        "documents/north/SO-1",
        **(entry | {"lines": [{"line": 1, "item": "A", "quantity": 9}]}),
    )
    assert (await call(headquarters, planner, "GET", "demand?site=north&item=A"))["items"][0]["ordered"] == 9
    ended = await call(
        headquarters, planner, "POST", "documents/north/SO-1/end", state="cancelled", reason="shop closed"
    )
    assert (ended["row"]["state"], ended["row"]["revision"]) == ("cancelled", 3)
    assert (await call(headquarters, planner, "GET", "demand?site=north&item=A"))["items"][0]["ordered"] == 0
    await call(headquarters, planner, "POST", "documents/north/SO-1/end", 409, state="closed")


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"lines": [{"line": 1, "item": "Z", "quantity": 1}]}, "item Z is not known"),
        ({"lines": [{"line": 1, "item": "A", "quantity": 0}]}, "line 1"),
        ({"lines": [{"line": 1, "item": "A", "quantity": 1}] * 2}, "number of its own"),
        ({"units": [{"unit": "box-1"}]}, "units[1]"),
        ({"due": 5}, "due"),
        ({"source": "PO-none"}, "PO-none"),
        ({"type": "purchase"}, "purchase"),
        ({"colour": 1}, "colour"),
    ],
)
async def test_what_is_wrong_with_a_document_is_named(
    headquarters: Headquarters, gateway: Gateway, change: dict[str, Any], named: str
) -> None:
    planner = await headquarters.key("planner", "north")
    entry = {"site": "north", "type": "expected-receipt"} | change
    answer = await headquarters.client.post("/api/v1/documents", json=entry, headers=planner)
    assert answer.status_code == 400
    assert named in answer.text


async def test_a_site_owned_exception_is_decided_by_command(headquarters: Headquarters, gateway: Gateway) -> None:
    gateway.record(
        b'{"record":"exception/1","kind":"device","subject":"door-1","state":"open","at":1767600000000000,"text":"silent"}'
    )
    gateway.record(b"{}")
    await gateway.push()
    operator = await headquarters.key("site-operator", "north")
    decision = {"site": "north", "kind": "device", "subject": "door-1", "state": "decided"}
    await call(headquarters, operator, "POST", "exceptions/decision", 400, **decision)
    sent = await call(headquarters, operator, "POST", "exceptions/decision", reason="cable put back", **decision)
    command = (await gateway.send("GET", f"/v1/gateways/{gateway.id}/downlink")).json()["commands"][0]
    assert (command["id"], command["order"]["state"]) == (sent["command"], "decided")
    parked = {
        "site": "north",
        "kind": "parked-record",
        "subject": "unreadable",
        "state": "decided",
        "reason": "noise",
    }
    assert (await call(headquarters, operator, "POST", "exceptions/decision", **parked))["command"] == ""
    states = {row["kind"]: row["state"] for row in (await call(headquarters, operator, "GET", "exceptions"))["items"]}
    assert states == {"device": "open", "parked-record": "decided"}


async def test_gateways_tell_how_far_behind_they_are(headquarters: Headquarters, gateway: Gateway) -> None:
    viewer = await headquarters.key("viewer")
    gateway.record(*[movement("receiving", SUPPLIER, DOCK, NOW, [("A", 1)])] * 3)
    await gateway.push(1, 1)
    row = (await call(headquarters, viewer, "GET", "gateways"))["items"][0]
    assert (row["state"], row["lag_records"]) == ("catching-up", 2)
    await gateway.push(2, 3)
    row = (await call(headquarters, viewer, "GET", "gateways"))["items"][0]
    assert (row["state"], row["lag_records"], row["lag_seconds"]) == ("current", 0, 0)
