"""The gateway's own reading of Google's messages: what it keeps, and how it refuses."""

from typing import Any

import pytest

from heliograph.server.gemini.envelope import BadBody
from heliograph.server.gemini.protojson import Long, read
from heliograph.server.gemini.schema import ENUMS, MESSAGES

SCALARS = {"string", "bool", "int32", "int64", "float", "double", "bytes"} | {
    "Struct",
    "Value",
    "Duration",
    "Timestamp",
    "Unserved",
}


def test_all_that_is_declared_is_declared_whole() -> None:
    kinds = {field.kind for fields in MESSAGES.values() for field in fields.values()}
    assert kinds <= SCALARS | set(MESSAGES) | set(ENUMS)
    roots = {"GenerateContentRequest", "CountTokensRequest", "CreateFileRequest"}
    assert (set(MESSAGES) | set(ENUMS)) - kinds <= roots
    assert all(values for values in ENUMS.values())


A_TEXT = {"parts": [{"text": "a"}]}
DANGEROUS = "HARM_CATEGORY_DANGEROUS_CONTENT"
PLACE = "contents[0].parts[0]"
PICTURES = Long(kind="data", text="x", where=f"{PLACE}.inline_data.data")
SIGN = Long(kind="signature", text="y", where=f"{PLACE}.thought_signature")


def config(**fields: Any) -> dict[str, Any]:
    return {"generationConfig": fields}


PACKAGE = "type.googleapis.com/google.ai.generativelanguage.v1"


@pytest.mark.parametrize(
    ("body", "faults"),
    [
        ({"x": 1}, [("", 'Invalid JSON payload received. Unknown name "x": Cannot find field.')]),
        (
            {"generation_config": {"image_config": {"x": 1}}, "store": "yes"},
            [
                (
                    "generation_config.image_config",
                    (
                        'Invalid JSON payload received. Unknown name "x" at '
                        "'generation_config.image_config': Cannot find field."
                    ),
                ),
                ("store", "Invalid value at 'store' (TYPE_BOOL), \"yes\""),
            ],
        ),
        (
            {"generationConfig": {"topK": {}, "seed": [1]}},
            [
                (
                    "generation_config.top_k",
                    (
                        "Invalid value at 'generation_config.top_k' (TYPE_INT32), "
                        "Starting an object on a scalar field"
                    ),
                ),
                (
                    "generation_config",
                    (
                        'Invalid JSON payload received. Unknown name "seed" at '
                        "'generation_config': Proto field is not repeating, cannot start list."
                    ),
                ),
            ],
        ),
        (
            {"safetySettings": {"threshold": 9}, "labels": {"a": 1}},
            [
                (
                    "safety_settings[0].threshold",
                    (
                        f"Invalid value at 'safety_settings[0].threshold' ({PACKAGE}."
                        "SafetySetting.HarmBlockThreshold), 9"
                    ),
                ),
                ("labels[0].value", "Invalid value at 'labels[0].value' (TYPE_STRING), 1"),
            ],
        ),
        (
            {"contents": [None, "a"]},
            [
                (f"contents[{i}]", f"Invalid value at 'contents[{i}]' ({PACKAGE}.Content), {said}")
                for i, said in ((0, "null"), (1, '"a"'))
            ],
        ),
    ],
)
def test_all_faults_are_told_at_once_in_googles_words(
    body: Any, faults: list[tuple[str, str]]
) -> None:
    with pytest.raises(BadBody) as caught:
        read(body, "GenerateContentRequest", version="v1")
    told = caught.value.facts["violations"]
    assert [(fault.get("field", ""), fault["description"]) for fault in told] == faults
    assert caught.value.what == "\n".join(description for _, description in faults)


def test_the_faults_that_are_told_have_an_end() -> None:
    with pytest.raises(BadBody) as caught:
        read({f"x{i}" * 100: i for i in range(1000)}, "GenerateContentRequest")
    assert len(caught.value.what) < 5000


@pytest.mark.parametrize(
    ("body", "kept"),
    [
        ({"store": None, "contents": {"parts": {"text": "a"}}}, {"contents": [A_TEXT]}),
        ({"safety_settings": [{"category": 10}]}, {"safetySettings": [{"category": DANGEROUS}]}),
        ({"serviceTier": "SERVICE_TIER_FLEX"}, {"serviceTier": "flex"}),
        ({"generationConfig": {"seed": "-7e0", "topP": "1e-1"}}, config(seed=-7, topP=0.1)),
        ({"generationConfig": {"topK": 4.0, "temperature": 1}}, config(topK=4, temperature=1)),
        (
            {"generationConfig": {"responseModalities": ["Image", 1]}},
            config(responseModalities=["IMAGE", "TEXT"]),
        ),
        (
            {"contents": [{"parts": [{"inline_data": {"data": "x"}, "thought_signature": "y"}]}]},
            {
                "contents": [
                    {"parts": [{"inlineData": {"data": PICTURES}, "thoughtSignature": SIGN}]}
                ]
            },
        ),
    ],
)
def test_what_is_kept_of_a_body(body: Any, kept: Any) -> None:
    found = read(body, "GenerateContentRequest")
    assert found == kept
    assert read(found, "GenerateContentRequest") == kept
