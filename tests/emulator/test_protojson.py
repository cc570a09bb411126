"""Proto-JSON: what Google's front end lets through, and the texts of what it does not."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.emulator.envelope import ApiError, dump
from heliograph.emulator.protojson import decode_base64, load, read
from heliograph.emulator.schema import MESSAGES

REQUEST = "GenerateContentRequest"


def refused(document: Any, version: str = "v1beta") -> ApiError:
    with pytest.raises(ApiError) as caught:
        read(document, REQUEST, version=version)
    assert caught.value.code == 400
    assert caught.value.status == "INVALID_ARGUMENT"
    return caught.value


def test_camel_and_snake_case_read_the_same_at_every_level() -> None:
    camel = {
        "contents": [{"parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}]}],
        "generationConfig": {
            "responseModalities": ["TEXT", "IMAGE"],
            "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "HIGH"},
            "imageConfig": {"aspectRatio": "16:9", "imageSize": "4K"},
        },
        "tools": [{"googleSearch": {"searchTypes": {"webSearch": {}, "imageSearch": {}}}}],
    }
    snake = {
        "contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": "AAAA"}}]}],
        "generation_config": {
            "response_modalities": ["TEXT", "IMAGE"],
            "thinking_config": {"include_thoughts": True, "thinking_level": "HIGH"},
            "image_config": {"aspect_ratio": "16:9", "image_size": "4K"},
        },
        "tools": [{"google_search": {"search_types": {"web_search": {}, "image_search": {}}}}],
    }
    assert read(camel, REQUEST) == read(snake, REQUEST)
    assert read(camel, REQUEST)["contents"][0]["parts"][0]["inline_data"]["data"] == b"\0\0\0"


def test_one_object_stands_for_a_list_and_null_for_nothing() -> None:
    message = read({"contents": {"parts": {"text": "a"}}, "tools": None}, REQUEST)
    assert message == {"contents": [{"parts": [{"text": "a"}]}]}


@pytest.mark.parametrize("name", ["flex", "FLEX", "SERVICE_TIER_FLEX"])
def test_enum_letter_case_does_not_matter(name: str) -> None:
    assert read({"serviceTier": name}, REQUEST)["service_tier"] == "FLEX"


def test_unknown_names_say_where() -> None:
    error = refused({"generationConfig": {"imageConfig": {"outputMimeType": "image/png"}}})
    text = (
        'Invalid JSON payload received. Unknown name "outputMimeType" at '
        "'generation_config.image_config': Cannot find field."
    )
    assert error.message == text
    assert error.details == (
        {
            "@type": "type.googleapis.com/google.rpc.BadRequest",
            "fieldViolations": [{"field": "generation_config.image_config", "description": text}],
        },
    )


def test_an_unknown_name_at_the_top_has_no_place() -> None:
    error = refused({"model_name": "x"})
    assert error.message == (
        'Invalid JSON payload received. Unknown name "model_name": Cannot find field.'
    )
    assert error.details[0]["fieldViolations"] == [{"description": error.message}]


def test_an_unknown_name_in_a_list_carries_the_index() -> None:
    error = refused({"contents": [{"parts": [{"text": "a"}, {"imagee": 1}]}]})
    assert "Unknown name \"imagee\" at 'contents[0].parts[1]': Cannot find field." in error.message


def test_image_size_outside_image_config_is_unknown() -> None:
    error = refused({"generationConfig": {"imageSize": "4K"}})
    assert "Unknown name \"imageSize\" at 'generation_config'" in error.message


@pytest.mark.parametrize(
    ("document", "text"),
    [
        (
            {"generationConfig": {"responseModalities": ["PICTURE"]}},
            (
                "Invalid value at 'generation_config.response_modalities[0]' (type.googleapis.com/"
                'google.ai.generativelanguage.v1beta.GenerationConfig.Modality), "PICTURE"'
            ),
        ),
        (
            {"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "NEVER"}]},
            (
                "Invalid value at 'safety_settings[0].threshold' (type.googleapis.com/"
                'google.ai.generativelanguage.v1beta.HarmBlockThreshold), "NEVER"'
            ),
        ),
        (
            {"generationConfig": {"responseFormat": {"image": {"aspectRatio": "3:2"}}}},
            (
                "Invalid value at 'generation_config.response_format.image.aspect_ratio' "
                "(type.googleapis.com/google.ai.generativelanguage.v1beta."
                'ImageResponseFormat.AspectRatio), "3:2"'
            ),
        ),
        (
            {"generationConfig": {"temperature": "warm"}},
            "Invalid value at 'generation_config.temperature' (TYPE_FLOAT), \"warm\"",
        ),
        (
            {"contents": [{"parts": [{"text": 5}]}]},
            "Invalid value at 'contents[0].parts[0].text' (TYPE_STRING), 5",
        ),
        (
            {"contents": "hi"},
            (
                "Invalid value at 'contents' (type.googleapis.com/"
                'google.ai.generativelanguage.v1beta.Content), "hi"'
            ),
        ),
        (
            {"generationConfig": {"seed": 2**31}},
            f"Invalid value at 'generation_config.seed' (TYPE_INT32), {2**31}",
        ),
        (
            {"store": 1},
            "Invalid value at 'store' (TYPE_BOOL), 1",
        ),
        (
            {"contents": [{"parts": [{"inlineData": {"data": "a*b="}}]}]},
            (
                "Invalid value at 'contents[0].parts[0].inline_data.data' (TYPE_BYTES), "
                'Base64 decoding failed for "a*b="'
            ),
        ),
    ],
)
def test_bad_values_are_named_with_their_type(document: Any, text: str) -> None:
    assert refused(document).message == text


def test_the_version_of_the_path_is_in_the_type() -> None:
    error = refused({"serviceTier": "gold"}, version="v1")
    assert "google.ai.generativelanguage.v1.ServiceTier" in error.message


def test_a_list_where_one_value_is_meant() -> None:
    error = refused({"generationConfig": [{}]})
    assert 'Unknown name "generation_config": Proto field is not repeating' in error.message


@pytest.mark.parametrize(
    "name", ["generation_Config", "GenerationConfig", "GENERATION_CONFIG", "_generationConfig"]
)
def test_a_name_has_two_spellings_and_no_other(name: str) -> None:
    assert refused({name: {}}).message == (
        f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
    )


@pytest.mark.parametrize("first", [{}, None])
def test_a_field_in_both_spellings_is_refused(first: Any) -> None:
    error = refused({"generationConfig": first, "generation_config": {}})
    assert error.message == (
        'Invalid JSON payload received. Unknown name "generation_config": Field is already set.'
    )


@pytest.mark.parametrize(
    ("part", "second"),
    [
        ({"text": "a", "inlineData": {}}, "inlineData"),
        ({"inline_data": {}, "text": ""}, "text"),
        ({"fileData": {}, "function_call": {}}, "function_call"),
        ({"toolCall": {}, "executableCode": {}}, "executableCode"),
    ],
)
def test_a_part_has_one_kind_of_data(part: dict[str, Any], second: str) -> None:
    assert refused({"contents": [{"parts": [{"text": "a"}, part]}]}).message == (
        "Invalid value at 'contents[0].parts[1]' (oneof), oneof field 'data' is already set. "
        f"Cannot set '{second}'"
    )


def test_null_sets_no_kind_of_data() -> None:
    message = read({"contents": [{"parts": [{"text": None, "inlineData": {}}]}]}, REQUEST)
    assert message == {"contents": [{"parts": [{"inline_data": {}}]}]}


@pytest.mark.parametrize(
    ("setting", "names"),
    [
        (
            {"category": 3, "threshold": 0},
            ("HARM_CATEGORY_VIOLENCE", "HARM_BLOCK_THRESHOLD_UNSPECIFIED"),
        ),
        ({"category": 7, "threshold": 4}, ("HARM_CATEGORY_HARASSMENT", "BLOCK_NONE")),
        ({"category": 11, "threshold": 5}, ("HARM_CATEGORY_CIVIC_INTEGRITY", "OFF")),
    ],
)
def test_enum_numbers_are_those_of_the_published_protos(
    setting: dict[str, int], names: tuple[str, str]
) -> None:
    (read_setting,) = read({"safetySettings": [setting]}, REQUEST)["safety_settings"]
    assert tuple(read_setting.values()) == names


@pytest.mark.parametrize(
    "document",
    [
        {"safetySettings": [{"category": 12}]},
        {"serviceTier": 1},
        {"generationConfig": {"thinkingConfig": {"thinkingLevel": 1}}},
        {"generationConfig": {"responseFormat": {"image": {"imageSize": 1}}}},
        {"contents": [{"parts": [{"text": "a", "mediaProcessing": 1}]}]},
        {"serviceTier": False},
    ],
)
def test_unpublished_enum_numbers_are_refused(document: Any) -> None:
    assert refused(document).message.startswith("Invalid value at '")


def test_what_the_sdk_sends_beside_the_data_of_a_part_is_taken() -> None:
    part = {
        "fileData": {"fileUri": "files/a", "displayName": "a lake"},
        "mediaProcessing": "static",
        "audioTranscription": {"words": [{"word": "a", "startOffset": "0.5s"}]},
        "speechMetadata": {"speaker": "a"},
        "documentMetadata": {"startPage": 1, "contentLayers": ["PAGE_TEXT"]},
        "spreadsheetMetadata": {"sheetIndex": 1},
        "audioMetadata": {"endOffset": "-3.000000001s"},
    }
    (found,) = read({"contents": {"parts": part}}, REQUEST)["contents"][0]["parts"]
    assert found["file_data"]["display_name"] == "a lake"
    assert found["media_processing"] == "STATIC"
    assert found["audio_transcription"]["words"][0]["start_offset"] == "0.5s"


@pytest.mark.parametrize("offset", ["1", "s", "1.s", "1.0000000001s", "315576000001s", 1])
def test_an_offset_is_a_duration(offset: Any) -> None:
    document = {"contents": {"parts": {"text": "a", "audioMetadata": {"startOffset": offset}}}}
    assert "(type.googleapis.com/google.protobuf.Duration), " in refused(document).message


def test_all_faults_of_a_request_come_together() -> None:
    error = refused({"a": 1, "generationConfig": {"b": 2}})
    assert len(error.message.splitlines()) == 2
    assert len(error.details[0]["fieldViolations"]) == 2


def test_both_base64_alphabets_padded_or_not() -> None:
    raw = bytes(range(250, 256)) + b"\xff"
    standard = base64.b64encode(raw).decode()
    url_safe = base64.urlsafe_b64encode(raw).decode()
    assert standard != url_safe
    forms = (standard, url_safe, standard.rstrip("="), url_safe.rstrip("="))
    assert {decode_base64(form) for form in forms} == {raw}


FIELDS = sorted({field for fields in MESSAGES.values() for field in fields})
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["1.0", "1e3", "-5", "TEXT", "FLEX", "AAAA", "\ud800"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


@settings(max_examples=150, deadline=None)
@given(VALUES)
def test_any_document_is_read_or_refused(document: Any) -> None:
    outcome = outcome_of(document)
    if isinstance(outcome, ApiError):
        assert (outcome.code, outcome.status) == (400, "INVALID_ARGUMENT")
        assert json.loads(dump(outcome.body()))["error"]["message"]
    else:
        assert set(outcome) <= set(MESSAGES[REQUEST])


def outcome_of(document: Any) -> dict[str, Any] | ApiError:
    try:
        return read(document, REQUEST)
    except ApiError as error:
        return error


@pytest.mark.parametrize(
    ("text", "number"), [("7", 7), ("7.0", 7), ("7e0", 7), (7.0, 7), ("-7", -7)]
)
def test_numbers_may_come_as_strings(text: Any, number: int) -> None:
    assert read({"generationConfig": {"seed": text}}, REQUEST) == {
        "generation_config": {"seed": number}
    }


@pytest.mark.parametrize("body", [b"{", b"{'a': 1}", b"\xff\xfe", b"[" * 100_000])
def test_what_is_not_json_is_a_400(body: bytes) -> None:
    with pytest.raises(ApiError, match="Invalid JSON payload received"):
        load(body)
