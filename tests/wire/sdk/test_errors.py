"""What the official SDK makes of every refusal and every error row."""

import json
import warnings
from collections.abc import Callable
from typing import Any

import pytest
from google import genai
from google.genai import errors, types

PRO = "gemini-3-pro-image"

ROWS = [
    ("api-key-invalid", 400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key."),
    ("key-expired", 400, "INVALID_ARGUMENT", "API key expired. Please renew the API key."),
    (
        "location",
        400,
        "FAILED_PRECONDITION",
        "User location is not supported for the API use.",
    ),
    ("bad-argument", 400, "INVALID_ARGUMENT", "Request contains an invalid argument."),
    ("bad-image", 400, "INVALID_ARGUMENT", "Provided image is not valid."),
    ("unauthenticated", 401, "UNAUTHENTICATED", "Expected OAuth 2 access token"),
    ("no-key", 403, "PERMISSION_DENIED", "Please use API Key or other form of API consumer"),
    ("leaked", 403, "PERMISSION_DENIED", "Your API key was reported as leaked."),
    ("service-blocked", 403, "PERMISSION_DENIED", "are blocked."),
    ("service-disabled", 403, "PERMISSION_DENIED", "is disabled."),
    ("not-found", 404, "NOT_FOUND", "Call ListModels to see the list of available models"),
    ("rate-minute:7", 429, "RESOURCE_EXHAUSTED", "Please retry in 7s."),
    ("rate-plain", 429, "RESOURCE_EXHAUSTED", "You exceeded your current quota"),
    ("rate-day", 429, "RESOURCE_EXHAUSTED", "Please retry in 37s."),
    ("limit-zero", 429, "RESOURCE_EXHAUSTED", "limit: 0"),
    ("depleted", 429, "RESOURCE_EXHAUSTED", "Your prepayment credits are depleted."),
    ("spend-limit", 429, "RESOURCE_EXHAUSTED", "spend limit"),
    ("exhausted", 429, "RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."),
    ("capacity", 429, "RESOURCE_EXHAUSTED", "No capacity available"),
    ("cancelled", 499, "CANCELLED", "The operation was cancelled."),
    ("internal", 500, "INTERNAL", "An internal error has occurred."),
    ("overloaded", 503, "UNAVAILABLE", "The model is overloaded. Please try again later."),
    ("high-demand", 503, "UNAVAILABLE", "currently experiencing high demand."),
    ("deadline", 504, "DEADLINE_EXCEEDED", "Deadline expired before operation could complete."),
]


def raised(client: genai.Client, prompt: str, **options: Any) -> errors.APIError:
    with pytest.raises(errors.APIError) as caught:
        client.models.generate_content(model=PRO, contents=prompt, **options)
    return caught.value


@pytest.mark.parametrize(("name", "code", "status", "text"), ROWS, ids=[row[0] for row in ROWS])
def test_every_error_row(
    client: genai.Client, name: str, code: int, status: str, text: str
) -> None:
    error = raised(client, f"a [[fault:{name}]]")
    assert type(error) is (errors.ClientError if code < 500 else errors.ServerError)
    assert (error.code, error.status) == (code, status)
    assert text in (error.message or "")
    assert error.details["error"]["code"] == code


def test_details_reach_the_caller(client: genai.Client) -> None:
    def types_of(name: str) -> dict[str, dict[str, Any]]:
        details = raised(client, f"a [[fault:{name}]]").details["error"].get("details", [])
        return {
            row["@type"].removeprefix("type.googleapis.com/google.rpc."): row for row in details
        }

    assert types_of("rate-minute:7")["RetryInfo"] == {
        "@type": "type.googleapis.com/google.rpc.RetryInfo",
        "retryDelay": "7s",
    }
    day = types_of("rate-day")["QuotaFailure"]["violations"][0]
    assert day["quotaId"] == "GenerateRequestsPerDayPerProjectPerModel"
    assert day["quotaDimensions"] == {"location": "global", "model": PRO}
    assert types_of("api-key-invalid")["ErrorInfo"]["reason"] == "API_KEY_INVALID"
    assert types_of("service-disabled")["ErrorInfo"]["reason"] == "SERVICE_DISABLED"
    assert types_of("service-blocked")["ErrorInfo"]["reason"] == "API_KEY_SERVICE_BLOCKED"
    assert types_of("depleted") == {}


@pytest.mark.parametrize(
    ("key", "code", "kind"),
    [
        ("emu-leaked", 403, "leaked"),
        ("emu-location", 400, "location"),
        ("emu-free-tier", 429, "limit: 0"),
    ],
)
def test_bad_keys(clients: Callable[..., genai.Client], key: str, code: int, kind: str) -> None:
    error = raised(clients(key), "a")
    assert error.code == code
    assert kind in (error.message or "")


def test_a_retired_model(client: genai.Client) -> None:
    with pytest.raises(errors.ClientError) as caught:
        client.models.generate_content(model="gemini-3-pro-image-preview", contents="a")
    assert (caught.value.code, caught.value.status) == (404, "NOT_FOUND")
    assert (caught.value.message or "").startswith(
        "models/gemini-3-pro-image-preview is not found for API version v1, or is not supported"
    )


def test_lower_case_size_is_refused_by_the_server(client: genai.Client) -> None:
    config = types.GenerateContentConfig(image_config=types.ImageConfig(image_size="4k"))
    assert raised(client, "a", config=config).code == 400


@pytest.mark.parametrize(
    ("tag", "message"),
    [
        ("nonsense", "Unknown fault 'nonsense'; GET /_emulator/faults lists them."),
        ("rate-minute:soon", "Fault rate-minute: argument 'soon' is not a number of zero or more."),
        ("Internal", "A fault tag reads [[fault:NAME]], [[fault:NAME:ARG]] or [[fault:NAME*N]]."),
    ],
)
def test_a_misspelt_fault_says_so(client: genai.Client, tag: str, message: str) -> None:
    error = raised(client, f"a [[fault:{tag}]]")
    assert (error.code, error.status, error.message) == (400, "INVALID_ARGUMENT", message)


def test_html_from_a_gateway(client: genai.Client) -> None:
    error = raised(client, "a [[fault:bad-gateway]]")
    assert isinstance(error, errors.ServerError)
    assert error.code == 502
    assert "Error 502" in str(error)


def test_broken_json_is_not_an_api_error(client: genai.Client) -> None:
    prompt = "a [[fault:cut-after-image:clean]]"
    with pytest.raises(json.JSONDecodeError):
        client.models.generate_content(model=PRO, contents=prompt)
    stream = client.models.generate_content_stream(model=PRO, contents=prompt)
    next(stream)
    with pytest.raises(errors.UnknownApiResponseError):
        next(stream)


def test_no_retry_unless_told(clients: Callable[..., genai.Client]) -> None:
    # the fault strikes once: a second try would be answered
    assert raised(clients(), "no retry [[fault:high-demand*1]]").code == 503
    told = types.HttpRetryOptions(attempts=3, initial_delay=0.01, jitter=0.0, max_delay=0.02)
    client = clients(retry_options=told)
    response = client.models.generate_content(model=PRO, contents="retry [[fault:high-demand*2]]")
    assert response.parts is not None
    assert raised(client, "retry more [[fault:high-demand*3]]").code == 503
    # 400 is not on the SDK's list: one call, one answer, whatever the attempts.
    assert raised(client, "not this [[fault:bad-argument*1]]").code == 400


def test_the_deadline_travels(clients: Callable[..., genai.Client]) -> None:
    # 1 s at the client becomes `X-Server-Timeout: 1`, which the emulator obeys just before.
    error: Exception
    with pytest.raises(Exception, match=r"504|timed out") as caught:
        clients(timeout=1_000).models.generate_content(model=PRO, contents="a [[fault:slow:20]]")
    error = caught.value
    assert type(error).__name__ in {"ServerError", "ReadTimeout"}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("image-safety", "IMAGE_SAFETY"),
        ("image-safety:role", "IMAGE_SAFETY"),
        ("image-safety:null", "IMAGE_SAFETY"),
        ("image-safety:absent", "IMAGE_SAFETY"),
        ("image-other", "IMAGE_OTHER"),
        ("no-image", "NO_IMAGE"),
        ("image-recitation", "IMAGE_RECITATION"),
        ("image-prohibited", "IMAGE_PROHIBITED_CONTENT"),
    ],
)
def test_refusals_have_no_parts(client: genai.Client, name: str, reason: str) -> None:
    response = client.models.generate_content(model=PRO, contents=f"a [[fault:{name}]]")
    assert response.parts is None
    assert response.text is None
    assert response.candidates is not None
    assert response.candidates[0].finish_reason == reason
    # SDK 3.4.0 drops finishMessage on the Gemini API; the raw reply carries it (test_faults.py).
    assert response.candidates[0].finish_message is None


def test_a_blocked_prompt(client: genai.Client) -> None:
    response = client.models.generate_content(model=PRO, contents="a [[fault:prompt-blocked]]")
    assert response.candidates is None
    assert response.prompt_feedback is not None
    assert response.prompt_feedback.block_reason == types.BlockedReason.PROHIBITED_CONTENT


def test_words_instead_of_a_picture(client: genai.Client) -> None:
    def ask(name: str) -> types.GenerateContentResponse:
        return client.models.generate_content(model=PRO, contents=f"a [[fault:{name}]]")

    refusal = ask("text-refusal")
    assert (refusal.candidates or [])[0].finish_reason == types.FinishReason.STOP
    assert refusal.text
    assert [part.inline_data for part in refusal.parts or []] == [None]
    assert [part.thought for part in ask("thoughts-only").parts or []] == [True]
    cut = ask("max-tokens")
    assert (cut.candidates or [])[0].finish_reason == types.FinishReason.MAX_TOKENS
    assert ask("empty-candidates").parts is None
    assert ask("empty-content").parts is None


def test_several_pictures_and_thoughts(client: genai.Client) -> None:
    extra = client.models.generate_content(model=PRO, contents="a [[fault:extra-images:2]]")
    assert [bool(p.inline_data) for p in extra.parts or []] == [False, True, True, True]
    thought = client.models.generate_content(model=PRO, contents="a [[fault:thought-first]]")
    pictures = [part for part in thought.parts or [] if part.inline_data]
    assert [part.thought for part in pictures] == [True, None]


def test_an_unknown_finish_reason_is_survived(client: genai.Client) -> None:
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        response = client.models.generate_content(model=PRO, contents="a [[fault:unknown-finish]]")
    assert any("SOMETHING_NEW" in str(warning.message) for warning in seen)
    assert (response.candidates or [])[0].finish_reason == "SOMETHING_NEW"
    assert len(response.parts or []) == 2
