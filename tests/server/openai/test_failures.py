"""Errors in OpenAI's envelope."""

import json
from typing import Any

import pytest

from heliograph import errors
from heliograph.errors import Charged, HeliographError, InvalidRequest, Problem
from heliograph.server import faults
from heliograph.server.openai.failures import ModelNotFound, error_response, renamed, url_refused


def answered(error: HeliographError) -> tuple[int, dict[str, Any], dict[str, str]]:
    response = error_response(error, "req-1")
    return response.status_code, json.loads(bytes(response.body))["error"], dict(response.headers)


INVALID, SERVER = "invalid_request_error", "server_error"
UNKNOWN: dict[str, Any] = {"charged": Charged.UNKNOWN}
PAID: dict[str, Any] = {"charged": Charged.YES}
ANSWERS: tuple[tuple[HeliographError, int, str, str, str], ...] = (
    (errors.BudgetExceeded("x"), 429, "insufficient_quota", "insufficient_quota", "false"),
    (errors.RateLimited("x", retry_after=400), 429, "rate_limit_error", "rate_limited", "false"),
    (errors.RateLimited("x", retry_after=7), 429, "rate_limit_error", "rate_limited", "true"),
    (errors.NotSent("x"), 503, SERVER, "upstream_unreachable", "true"),
    (errors.UntrustedUpstream("x"), 502, SERVER, "upstream_tls", "false"),
    (errors.OutcomeUnknown("x", **UNKNOWN), 504, SERVER, "outcome_unknown", "false"),
    (errors.CorruptImage("x", **PAID), 502, SERVER, "upstream_corrupt", "false"),
    (errors.PolicyBlocked("x"), 400, INVALID, "content_policy", "false"),
    (errors.NoImage("x"), 422, INVALID, "no_image", "false"),
    (errors.RecordNotFound("x"), 404, "not_found_error", "not_found", "false"),
    (faults.Unauthenticated("x"), 401, "authentication_error", "unauthenticated", "false"),
    (faults.Forbidden("x"), 403, "permission_error", "forbidden", "false"),
    (faults.KeyInUse("x"), 409, "conflict_error", "idempotency_key_in_use", "true"),
    (url_refused("image"), 400, INVALID, "url_inputs_disabled", "false"),
    (ModelNotFound("x"), 404, "not_found_error", "model_not_found", "false"),
)


@pytest.mark.parametrize(("error", "status", "kind", "code", "retry"), ANSWERS)
def test_the_envelope(
    error: HeliographError, status: int, kind: str, code: str, retry: str
) -> None:
    error.facts["job"] = "j" * 32
    found, body, headers = answered(error)
    assert (found, body["type"], body["code"]) == (status, kind, code)
    assert headers["x-should-retry"] == retry
    assert headers["x-heliograph-job"] == "j" * 32
    assert body["heliograph"]["job"] == "j" * 32
    assert body["heliograph"]["charged"] == error.charged.value
    assert body["heliograph"]["request"] == "req-1"


def test_a_wait_is_told_in_header_and_body() -> None:
    _, body, headers = answered(errors.RateLimited("r", retry_after=400))
    assert headers["retry-after"] == "400"
    assert body["heliograph"]["retry_after"] == 400


@pytest.mark.parametrize(
    ("field", "param"),
    [("pixels", "size"), ("aspect", "aspect_ratio"), ("format", "output_format"),
     ("references", "image"), ("n", "n"), ("seed", "heliograph.seed"), ("mask", "mask")],
)  # fmt: skip
def test_our_fields_are_named_as_the_client_named_them(field: str, param: str) -> None:
    problem = Problem(field=field, value="x", message="is wrong.", nearest=("y",))
    _, body, _ = answered(renamed(InvalidRequest([problem])))
    assert body["param"] == param
    assert body["heliograph"]["problems"][0]["nearest"] == ["y"]


def test_the_client_s_own_names_stay() -> None:
    problem = Problem(field="quality", value="high", message="stands for 4K.")
    assert answered(InvalidRequest([problem]))[1]["param"] == "quality"


def test_a_renamed_error_stays_what_it_was() -> None:
    problem = Problem(field="pixels", value="9x9", message="is wrong.")
    again = renamed(errors.PriceUnknown([problem]))
    assert isinstance(again, errors.PriceUnknown)
    assert "size='9x9'" in str(again)


def test_the_operator_s_troubles_stay_his() -> None:
    error = errors.StorageError(
        "Cannot write '/srv/helio/images/x'.", why="No space left on device"
    )
    _, body, _ = answered(error)
    assert "/srv" not in json.dumps(body)
    _, body, _ = answered(errors.MissingKey("No key in GEMINI_API_KEY or /run/secrets."))
    assert "GEMINI_API_KEY" not in json.dumps(body)


def test_half_a_surrogate_pair_does_not_break_an_answer() -> None:
    status, _, _ = answered(InvalidRequest([Problem(field="model", value="\ud800", message="x.")]))
    assert status == 400
