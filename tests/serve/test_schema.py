"""The service and its OpenAPI description say the same (schemathesis)."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.strategies import booleans, data, one_of, sampled_from
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    negative_data_rejection,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.search.small_bundle import Shop
from tests.serve.running import AUTHORIZED, TOKEN, running

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]
STATEFUL = {"POST /v1/admin/bundle", "POST /v1/admin/bundle/rollback", "PUT /v1/items/{item_id}", "POST /v1/items"}
"""Succeed only where there is another bundle, with a photo, or where replicas share items; other tests have them."""


@pytest.fixture(scope="module")
def url(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Of a service whose items may be changed, and are."""
    state = tmp_path_factory.mktemp("schema") / "state"
    with running(
        ["--bundle", str(shop.root), "--state", str(state)], environment={"LOOKALIKE_TOKEN": TOKEN}
    ) as started:
        yield started.url
        code, errors = started.stop()
        assert code == 0, errors
        assert "Traceback" not in errors, errors


def test_every_answer_is_as_described(url, shop):
    tried = set()
    real = {name: sampled_from([row[name] for row in shop.rows()]) for name in ("item_id", "image_id")}
    found = schemathesis.openapi.from_url(f"{url}/openapi.json").get_all_operations()
    for operation in [one.ok() for one in found]:
        cases = one_of([operation.as_strategy(generation_mode=mode) for mode in GenerationMode])

        @given(case=cases, known=booleans(), data=data())
        @settings(max_examples=40, deadline=None, derandomize=True, database=None, suppress_health_check=[*HealthCheck])
        def check(case, known, data):
            for name in real.keys() & (case.path_parameters or {}).keys() if known else ():
                case.path_parameters[name] = data.draw(real[name])
            if known and case.meta.generation.mode is GenerationMode.POSITIVE and case.query:
                case.query.pop("version", None)  # This service has its own order of changes.
            # A form's fields are text: that a number was meant where text is asked for cannot be told.
            checks = CHECKS if case.body else [*CHECKS, negative_data_rejection]
            response = case.call_and_validate(checks=checks, headers=AUTHORIZED, timeout=30)
            statuses.add(response.status_code)  # noqa: B023

        statuses: set[int] = set()
        check()
        tried.add(operation.label)
        served = operation.label in STATEFUL or any(status < 300 for status in statuses)
        assert served, f"{operation.label} was never tried with success: {statuses}"
    assert {"POST /v1/search", "GET /v1/items/{item_id}/similar", "GET /v1/bundle", "GET /readyz"} <= tried
