"""The OpenAPI document says what the routes do, and schemathesis finds no answer that contradicts it."""

import json
from contextlib import suppress
from typing import Any

import pytest
from asking import Client, client
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable

from musiczoo.library import Library
from musiczoo.server.app import OPENAPI, document

schemathesis = pytest.importorskip("schemathesis")

EXAMPLES = 10
"""Requests of each operation: the fuzz target (tests/fuzz) tries more."""

CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "negative_data_rejection",
    "unsupported_method",
)
"""All but those about data that the schema accepts: a range of years may be reversed, and a tag may not exist."""


@pytest.fixture(scope="session")
def web_api(library: Library, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The document as schemathesis reads it, which calls the server "testserver"."""
    playlists = tmp_path_factory.mktemp("playlists")
    app = client(library, playlists=playlists, hosts=frozenset({"testserver"})).app
    return schemathesis.openapi.from_asgi(OPENAPI, app)


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode))
def test_answers_are_as_documented(web_api: Any, mode: Any) -> None:
    """Requests that the document allows, and others; answers have the statuses, types and schemas that it says."""
    checks = [getattr(schemathesis.checks, name) for name in CHECKS]
    operations = [found.ok() for found in web_api.get_all_operations()]
    assert len(operations) > 12
    for operation in operations:

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def answers(case: Any) -> None:
            case.call_and_validate(checks=checks)

        with suppress(Unsatisfiable):  # an operation without parameters has no wrong ones
            answers()


def test_it_is_sent(ask: Client) -> None:
    found = ask.get(OPENAPI).json()
    assert found == json.loads(json.dumps(document()))
    assert found["openapi"].startswith("3.1.")
    assert found["security"] == [{"token": []}, {}]


def test_every_operation_says_what_it_does() -> None:
    paths = document()["paths"]
    operations = [(path, operation) for path, methods in paths.items() for operation in methods.values()]
    names = [operation["operationId"] for _, operation in operations]
    assert len(set(names)) == len(names) > 12
    for path, operation in operations:
        assert operation["description"].endswith("."), path
        assert operation["tags"], path
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (path, parameter["name"])
