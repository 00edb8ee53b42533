"""Signing in and out, what each role sees and may do, and that a form cannot be sent by somebody else's page."""

from __future__ import annotations

import httpx
import pytest
from argon2 import PasswordHasher
from headquarters import Headquarters
from seeded_network import Network, browser, decide_network
from sqlalchemy import select

from cloud.access import accounts
from cloud.access.passwords import Passwords
from cloud.store import schema
from cloud.store.database import reading, writing

PAGES = (
    "/",
    "/live",
    "/items/TEA-100",
    "/recommendations",
    "/documents",
    "/exceptions",
    "/gateways",
    "/documents/north/PO-1",
)


async def test_nobody_is_sent_to_sign_in_and_back(headquarters: Headquarters) -> None:
    for path in PAGES:
        answer = await headquarters.client.get(path + "?site=north")
        assert answer.status_code == 303
        assert answer.headers["location"].startswith("/sign-in?next=%2F")
    script = await headquarters.client.get("/live", headers={"hx-request": "true"})
    assert script.headers["hx-redirect"] == "/sign-in"


async def test_a_password_opens_the_page_that_was_wanted(headquarters: Headquarters) -> None:
    passwords = Passwords(headquarters.runtime, PasswordHasher(time_cost=1, memory_cost=64, parallelism=1))
    stored = await passwords.hash("twelve letters or more")
    async with writing(headquarters.engine) as conn:
        await accounts.create_user(conn, headquarters.runtime, "lena", "viewer", "", stored, "test")
    form = {"user": "lena", "password": "twelve letters or more", "next": "/live?site=north"}
    wrong = await headquarters.client.post("/sign-in", data=form | {"password": "something else"})
    assert wrong.status_code == 401
    assert "name or the password is wrong" in wrong.text
    right = await headquarters.client.post("/sign-in", data=form)
    assert (right.status_code, right.headers["location"]) == (303, "/live?site=north")
    assert "httponly" in right.headers["set-cookie"].lower()
    abroad = await headquarters.client.post("/sign-in", data=form | {"next": "//evil.example/"})
    assert abroad.status_code == 403 or abroad.headers["location"] == "/"
    foreign = await headquarters.client.post("/sign-in", data=form, headers={"sec-fetch-site": "cross-site"})
    assert foreign.status_code == 403


async def test_a_link_signs_in_once_and_only_when_it_is_confirmed(headquarters: Headquarters) -> None:
    async with writing(headquarters.engine) as conn:
        await accounts.create_user(conn, headquarters.runtime, "lena", "viewer", "", "", "test")
        token = await accounts.make_link(conn, headquarters.runtime, "lena", "test")
    for _ in range(3):  # a mail scanner looks
        assert (await headquarters.client.get(f"/sign-in/{token}")).status_code == 200
    first = await headquarters.client.post(f"/sign-in/{token}")
    assert (first.status_code, first.headers["location"]) == (303, "/")
    headquarters.client.cookies.clear()
    second = await headquarters.client.post(f"/sign-in/{token}")
    assert second.status_code == 401
    assert "used" in second.text


async def test_signing_out_ends_the_session(network: Network, maria: httpx.AsyncClient) -> None:
    assert (await maria.get("/")).status_code == 200
    assert (await maria.post("/sign-out")).status_code == 303
    assert (await maria.get("/")).status_code == 303


async def test_a_site_s_viewer_sees_that_site_alone(network: Network) -> None:
    await decide_network(network)
    async with await browser(network.headquarters, "viewer", "north", "nils") as nils:
        for path in PAGES:
            page = (await nils.get(path)).text
            for other in ("Central", "South", "4711", "4713"):
                assert other not in page, (path, other)
            assert 'name="action"' not in page
            assert 'name="state" value="decided"' not in page
        for path in ("/?format=csv", "/live?format=csv", "/recommendations?format=csv", "/gateways?format=csv"):
            twin = (await nils.get(path)).text
            assert "south" not in twin, path
            assert "central" not in twin, path
        for path in (
            "/live?site=south",
            "/items/TEA-100?site=south",
            "/documents/south/PO-1",
            "/movements/south/4713/1",
        ):
            assert (await nils.get(path)).status_code == 404, path
        assert (await nils.post("/cycle")).status_code == 403


async def test_a_viewer_decides_nothing(network: Network) -> None:
    await decide_network(network)
    r = schema.recommendation.c
    async with reading(network.headquarters.engine) as conn:
        site, name = (await conn.execute(select(r.site_id, r.id).limit(1))).one()
    async with await browser(network.headquarters, "viewer", "", "nils") as nils:
        answer = await nils.post(f"/recommendations/{site}/{name}", data={"action": "accept"})
        assert answer.status_code == 403
        assert "ask an owner" in answer.text
        verdict = {"site": "north", "kind": "no-document", "subject": "00/106141412345678915", "state": "snoozed"}
        assert (await nils.post("/exceptions", data=verdict)).status_code == 403
    async with reading(network.headquarters.engine) as conn:
        assert (await conn.execute(select(r.state).where(r.id == name))).scalar_one() == "proposed"


@pytest.mark.parametrize("path", ["/exceptions", "/recommendations/north/REC-1", "/sign-out", "/cycle"])
async def test_a_form_without_its_token_is_refused(network: Network, maria: httpx.AsyncClient, path: str) -> None:
    del maria.headers["x-csrf-token"]
    assert (await maria.post(path, data={"action": "accept"})).status_code == 403
    assert (await maria.post(path, data={"action": "accept", "csrf_token": "0" * 64})).status_code == 403
    browser_s = await maria.post(path, data={"action": "accept"}, headers={"accept": "text/html,*/*;q=0.8"})
    assert browser_s.status_code == 403
    assert browser_s.headers["content-type"].startswith("text/html")
    assert "The form has expired" in browser_s.text
    script = await maria.post(path, data={"action": "accept"}, headers={"hx-request": "true"})
    assert script.headers["hx-retarget"] == "#messages"


async def test_an_unknown_address_is_a_page_for_people_and_a_problem_for_programs(
    network: Network, maria: httpx.AsyncClient
) -> None:
    person = await maria.get("/no/such/page", headers={"accept": "text/html"})
    assert person.status_code == 404
    assert "Nothing answers at /no/such/page." in person.text
    assert person.headers["content-type"].startswith("text/html")
    for path in ("/no/such/page", "/api/v1/no-such-list"):
        accept = "text/html" if path.startswith("/api/") else "*/*"
        program = await maria.get(path, headers={"accept": accept})
        assert program.status_code == 404
        assert program.headers["content-type"] == "application/problem+json"
        assert program.json()["detail"] == f"nothing answers at {path}"
