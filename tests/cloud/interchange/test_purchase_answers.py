"""A supplier's answer through the public API: kept, followed by the order and the gateway, and told to people."""

from __future__ import annotations

import csv
import io
from typing import Any

import msgspec
import pytest
from headquarters import CUSTOMER, DOCK, SUPPLIER, Gateway, Headquarters, movement
from seeded_network import MeanForecaster

from cloud.cycle import run_cycle
from cloud.interchange.order_message import OrderLine, OrderMessage, Party, to_csv
from cloud.interchange.order_pdf import BOX, to_pdf
from cloud.store import plans, schema
from cloud.store.database import writing
from vocabulary.quantity import Money
from vocabulary.recommendation import Recommendation

DAY_US = 86_400_000_000


async def call(
    headquarters: Headquarters, key: dict[str, str], method: str, path: str, status: int = 200, **json: Any
) -> Any:
    sent = json or ({} if method == "POST" else None)
    answer = await headquarters.client.request(method, f"/api/v1/{path}", headers=key, json=sent)
    assert answer.status_code == status, answer.text
    return answer.json()


@pytest.fixture
async def gateway(headquarters: Headquarters) -> Gateway:
    key = await headquarters.key("owner")
    for kind, rows in {
        "sites": [{"id": "north", "zone": "Europe/Berlin"}],
        "items": [{"id": "A", "name": "Apples"}],
        "suppliers": [{"id": "acme", "name": "=Acme"}, {"id": "other"}],
        "terms": [{"site_id": "north", "item": "A", "supplier": "acme", "price_micro": 1_250_000}],
    }.items():
        assert (await headquarters.client.put(f"/api/v1/{kind}", json=rows, headers=key)).status_code == 200
    return await headquarters.add_gateway()


async def order(headquarters: Headquarters, name: str = "REC-1", quantity: int = 48) -> str:
    """An order of acme that has gone out."""
    now = headquarters.runtime.now()
    proposal = Recommendation(name, "purchase", "proposed", "north", "A", quantity, from_="acme", by="2026-01-20",
                              cost=Money(6_000, "EUR"))  # fmt: skip
    async with writing(headquarters.engine, "north") as conn:
        await conn.execute(
            schema.recommendation.insert().values(
                site_id="north", id=name, kind="purchase", state="proposed", item="A", partner="acme", quantity=quantity,
                by_day="2026-01-20", currency="EUR", created_at=now, changed_at=now, body=msgspec.json.encode(proposal),
            )
        )  # fmt: skip
    approver = await headquarters.key("approver", "north")
    path = f"recommendations/north/{name}/decision"
    return str((await call(headquarters, approver, "POST", path, action="accept"))["document"])


async def sent(headquarters: Headquarters, **named: Any) -> tuple[str, dict[str, str], str]:
    """(order, the supplier's key, the path to answer at) of an order that a person sent."""
    number = await order(headquarters, **named)
    planner = await headquarters.key("planner", "north")
    await call(headquarters, planner, "POST", f"purchases/north/{number}/sent", reason="by fax")
    return number, await headquarters.key("partner", "", "acme"), f"purchases/north/{number}/acknowledgement"


async def told(gateway: Gateway) -> list[tuple[str, int, str]]:
    documents = (await gateway.send("GET", f"/v1/gateways/{gateway.id}/downlink")).json()["documents"]
    return [(one["id"], one["revision"], one["state"]) for one in documents]


async def problems(headquarters: Headquarters) -> list[tuple[str, str, str]]:
    rows = await headquarters.rows(schema.exception, "kind", "state", "text")
    return [(str(kind), str(state), str(text)) for kind, state, text in rows]


async def test_an_order_shows_to_its_supplier_when_it_goes_out(headquarters: Headquarters, gateway: Gateway) -> None:
    number = await order(headquarters)
    acme, planner = await headquarters.key("partner", "", "acme"), await headquarters.key("planner")
    await call(headquarters, acme, "GET", f"documents/north/{number}", 404)
    await call(headquarters, acme, "GET", f"purchases/north/{number}", 404)
    assert (await call(headquarters, acme, "GET", "documents"))["items"] == []
    assert (await call(headquarters, acme, "GET", "purchases"))["items"] == []
    listed = (await call(headquarters, planner, "GET", "purchases?sending=by+hand"))["items"]
    assert [(one["id"], one["sending"], one["wanted_day"], one["due_day"]) for one in listed] == [
        (number, "by hand", "2026-01-20", "2026-01-20")
    ]
    await call(headquarters, planner, "POST", f"purchases/north/{number}/sent", reason="by fax")
    assert (await call(headquarters, acme, "GET", "documents"))["items"][0]["id"] == number
    detail = await call(headquarters, acme, "GET", f"purchases/north/{number}")
    assert (detail["row"]["sending"], detail["order"]["total"]) == ("sent", "60.00")
    assert (
        "sent already" in (await call(headquarters, planner, "POST", f"purchases/north/{number}/sent", 409))["detail"]
    )


async def test_an_acceptance_changes_nothing_but_is_kept(headquarters: Headquarters, gateway: Gateway) -> None:
    number, acme, path = await sent(headquarters)
    answer = {"state": "accepted", "text": "fine", "reference": "AC-7"}
    first = await call(headquarters, acme, "POST", path, **answer)
    assert (first["row"]["answer"], first["row"]["reference"], first["row"]["due_day"]) == (
        "accepted",
        "AC-7",
        "2026-01-20",
    )
    assert (await call(headquarters, acme, "POST", path, **answer))["row"]["revision"] == first["row"]["revision"] == 2
    assert [(one["actor"], one["state"]) for one in first["answers"]] == [("key:test", "accepted")]
    assert await told(gateway) == [(number, 2, "open")]
    assert await problems(headquarters) == []


async def test_a_later_and_smaller_promise_is_followed_and_people_are_told(
    headquarters: Headquarters, gateway: Gateway
) -> None:
    number, acme, path = await sent(headquarters)
    changed = await call(
        headquarters, acme, "POST", path, state="changed", lines=[{"line": 1, "quantity": 40, "day": "2026-01-23"}]
    )
    row = changed["row"]
    assert (row["answer"], row["due_day"], row["promised_late"], row["revision"]) == ("changed", "2026-01-23", True, 2)
    assert [line["quantity"] for line in changed["order"]["lines"]] == [40]
    assert changed["order"]["total"] == "50.00"
    ((kind, state, text),) = await problems(headquarters)
    assert (kind, state) == ("order-answer", "open")
    assert "8 base units are missing" in text
    assert "3 days after" in text
    good = await call(headquarters, acme, "POST", path, state="accepted")  # all of it, in time, after all
    assert (good["order"]["lines"][0]["quantity"], good["row"]["due_day"]) == (48, "2026-01-20")
    assert [one[1] for one in await problems(headquarters)] == ["decided"]
    assert await told(gateway) == [(number, 3, "open")]


async def test_a_refusal_cancels_and_the_next_cycle_proposes_anew(headquarters: Headquarters, gateway: Gateway) -> None:
    number, acme, path = await sent(headquarters)
    start = headquarters.runtime.now() - 30 * DAY_US
    lines = [movement("receiving", SUPPLIER, DOCK, start, [("A", 400)])]
    lines += [movement("shipping", DOCK, CUSTOMER, start + day * DAY_US, [("A", 13)]) for day in range(30)]
    gateway.record(*lines)
    await gateway.push()
    async with writing(headquarters.engine) as conn:
        await conn.execute(schema.term.update().values(lead_time_days=2.0))
    await run_cycle(headquarters.engine, headquarters.runtime, MeanForecaster())
    refused = await call(headquarters, acme, "POST", path, state="refused", text="out of apples")
    assert (refused["row"]["state"], refused["row"]["answer"]) == ("cancelled", "refused")
    assert (number, 2, "cancelled") in await told(gateway)
    ((kind, _, text),) = await problems(headquarters)
    assert kind == "order-answer"
    assert "The probability that A runs out in the next" in text
    assert "out of apples" in text
    owner = await headquarters.key("owner")
    old = await call(headquarters, owner, "GET", "recommendations/north/REC-1")
    assert (old["state"], old["reason"]) == ("expired", "acme refused the order: out of apples")
    await run_cycle(headquarters.engine, headquarters.runtime, MeanForecaster())
    fresh = (await call(headquarters, owner, "GET", "recommendations?state=proposed"))["items"]
    assert [(one["item"], one["partner"]) for one in fresh] == [("A", "acme")]
    again = await call(headquarters, acme, "POST", path, 409, state="accepted")
    assert "cancelled already" in again["detail"]


@pytest.mark.parametrize(
    ("answer", "status", "named"),
    [
        ({"state": "maybe"}, 400, "state"),
        ({"state": "changed"}, 400, "lines: give them with the state changed"),
        ({"state": "accepted", "lines": [{"line": 1, "quantity": 1}]}, 400, "lines: give them with the state changed"),
        ({"state": "changed", "lines": [{"line": 2, "quantity": 1}]}, 400, "has no line 2"),
        ({"state": "changed", "lines": [{"line": 1, "quantity": 49}]}, 400, "49 is more than the 48 ordered"),
        (
            {"state": "changed", "lines": [{"line": 1, "quantity": 4, "day": "2026-02-30"}]},
            400,
            "2026-02-30 is no date",
        ),
        ({"state": "changed", "lines": [{"line": 1, "quantity": 4}] * 2}, 400, "promise each line once"),
        ({"state": "changed", "lines": [{"line": 1, "quantity": 5}]}, 400, "20 have come already"),
        ({"state": "refused"}, 409, "goods came against order"),
    ],
)
async def test_what_cannot_be_promised_is_named(
    headquarters: Headquarters, gateway: Gateway, answer: dict[str, Any], status: int, named: str
) -> None:
    number, acme, path = await sent(headquarters)
    if "come" in named or "came" in named:
        now = headquarters.runtime.now()
        gateway.record(movement("receiving", SUPPLIER, DOCK, now, [("A", 20)], document=number, document_line=1))
        await gateway.push()
    refused = await call(headquarters, acme, "POST", path, status, **answer)
    assert named in msgspec.json.encode(refused).decode()
    assert await headquarters.rows(plans.acknowledgement) == []


async def test_only_its_supplier_and_planners_answer(headquarters: Headquarters, gateway: Gateway) -> None:
    number, _, path = await sent(headquarters)
    await call(headquarters, await headquarters.key("partner", "", "other"), "POST", path, 404, state="accepted")
    await call(headquarters, await headquarters.key("viewer"), "POST", path, 403, state="accepted")
    await call(headquarters, await headquarters.key("planner"), "POST", path, state="accepted")
    acme = await headquarters.key("partner", "", "acme")
    for action in ("sent", "again"):
        await call(headquarters, acme, "POST", f"purchases/north/{number}/{action}", 403)
    await call(headquarters, acme, "POST", "recommendations/north/REC-1/undo", 403)


async def test_a_promise_of_what_came_closes_the_order(headquarters: Headquarters, gateway: Gateway) -> None:
    number, acme, path = await sent(headquarters)
    now = headquarters.runtime.now()
    gateway.record(movement("receiving", SUPPLIER, DOCK, now, [("A", 20)], document=number, document_line=1))
    await gateway.push()
    done = await call(headquarters, acme, "POST", path, state="changed", lines=[{"line": 1, "quantity": 20}])
    assert (done["row"]["state"], done["row"]["progress"]) == ("closed", "complete")
    owner = await headquarters.key("owner")
    assert (await call(headquarters, owner, "GET", "recommendations/north/REC-1"))["state"] == "fulfilled"


async def test_a_buyers_change_after_sending_is_told_and_one_before_replaces(
    headquarters: Headquarters, gateway: Gateway
) -> None:
    number = await order(headquarters)
    planner = await headquarters.key("planner", "north")

    async def revise(quantity: int) -> None:
        lines = [{"line": 1, "item": "A", "quantity": quantity}]
        body = {"site": "north", "type": "expected-receipt", "partner": "acme", "lines": lines}
        await call(headquarters, planner, "PUT", f"documents/north/{number}", **body)

    async def states() -> list[tuple[int, str]]:
        return [(int(r), str(s)) for r, s in await headquarters.rows(plans.purchase_message, "revision", "state")]

    await revise(50)
    assert await states() == [(1, "withdrawn"), (2, "waiting")]
    await call(headquarters, planner, "POST", f"purchases/north/{number}/sent")
    await revise(52)
    assert await states() == [(1, "withdrawn"), (2, "sent"), (3, "waiting")]
    await call(headquarters, planner, "POST", f"documents/north/{number}/end", state="cancelled")
    assert await states() == [(1, "withdrawn"), (2, "sent"), (3, "withdrawn")]


async def test_an_order_as_csv_and_pdf_through_the_api(headquarters: Headquarters, gateway: Gateway) -> None:
    number = await order(headquarters)
    viewer = await headquarters.key("viewer")
    sheet = await headquarters.client.get(f"/api/v1/purchases/north/{number}/csv", headers=viewer)
    (row,) = csv.DictReader(io.StringIO(sheet.text))
    assert (row["order"], row["quantity"], row["unit_price"], row["amount"]) == (number, "48", "1.25", "60.00")
    paper = await headquarters.client.get(f"/api/v1/purchases/north/{number}/pdf", headers=viewer)
    assert paper.content.startswith(b"%PDF-")
    assert paper.headers["content-type"] == "application/pdf"
    assert number in paper.headers["content-disposition"]


def message_of(*names: str) -> OrderMessage:
    lines = tuple(OrderLine(n, f"I-{n}", name, "", 5, "H87", "1.00", "5.00", "EUR") for n, name in enumerate(names, 1))
    return OrderMessage("PO-1", 1, "open", Party("north", "Nörd"), Party("acme", "Łódź & Söhne"), "2026-01-05T06:00:00Z",
                        "2026-01-10", "", lines, "5.00", "EUR", "")  # fmt: skip


@pytest.mark.parametrize(
    "name", ["Чай, τσάι, شاي, תה", "茶 🍵 नमस्ते", "\x00\x07\udc80", "a" * 5_000, "", "\u202egnp.exe", "**b** <i>"]
)
def test_a_pdf_never_fails_on_a_name(name: str) -> None:
    paper = to_pdf(message_of(name, "plain"))
    assert paper.startswith(b"%PDF-")
    assert paper == to_pdf(message_of(name, "plain"))


def test_letters_that_no_font_has_are_shown_as_boxes() -> None:
    assert BOX == "□"
    assert len(to_pdf(message_of("茶"))) != len(to_pdf(message_of("")))


def test_a_formula_in_a_name_is_no_formula_in_a_spreadsheet() -> None:
    (row,) = csv.DictReader(io.StringIO(to_csv(message_of("=cmd()"))))
    assert row["name"] == "'=cmd()"
