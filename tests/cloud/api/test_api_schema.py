"""The OpenAPI document is true: generated requests never crash the server, and answers are what it says."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import schemathesis
from headquarters import Headquarters, open_headquarters
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from virtual import VirtualLoop, VirtualRuntime, no_threads

#: Requests for each operation: together some seconds.
EXAMPLES = 5


@dataclass
class Bench:
    runner: asyncio.Runner
    headquarters: Headquarters
    key: dict[str, str]
    operations: dict[str, Any]

    def send(self, case: Any) -> httpx.Response:
        self.headquarters.app.state["services"].requests._buckets.clear()
        kwargs = case.as_transport_kwargs(headers=self.key)
        wanted = {name: kwargs[name] for name in ("params", "headers", "cookies", "json", "data") if kwargs.get(name)}
        if isinstance(wanted.get("data"), bytes):
            wanted["content"] = wanted.pop("data")
        url = kwargs["url"].replace("http://localhost", "") or "/"
        client = self.headquarters.client
        return self.runner.run(client.request(kwargs["method"], url, **wanted))


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    with ExitStack() as stack:
        stack.enter_context(no_threads())
        runner = stack.enter_context(asyncio.Runner(loop_factory=VirtualLoop))
        opened = open_headquarters(tmp_path_factory.mktemp("schema") / "cloud.db", VirtualRuntime())
        headquarters = runner.run(opened.__aenter__())
        stack.callback(lambda: runner.run(opened.__aexit__(None, None, None)))
        runner.run(headquarters.add_site())
        key = runner.run(headquarters.key("owner"))
        document = runner.run(headquarters.client.get("/api/openapi.json")).json()
        schema = schemathesis.openapi.from_dict(document)
        operations = {one.ok().label: one.ok() for one in schema.get_all_operations()}
        yield Bench(runner, headquarters, key, operations)


CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


def try_out(bench: Bench, operation: Any) -> None:
    """Send generated requests to one operation. Raises what a check finds."""

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=True,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(operation.as_strategy())
    def one(case: Any) -> None:
        case.validate_response(bench.send(case), checks=CHECKS)

    one()


def test_generated_requests_are_answered_as_the_document_says(bench: Bench) -> None:
    assert len(bench.operations) > 40
    failures: dict[str, str] = {}
    for label, operation in sorted(bench.operations.items()):
        if label == "POST /api/v1/cycle":
            continue  # starts a process
        try:
            try_out(bench, operation)
        except BaseException as error:
            failures[label] = f"{type(error).__name__}: {error}"[:1500]
    assert not failures, "\n\n".join(f"{label}: {text}" for label, text in failures.items())
