"""Two readings of Google's messages, ours and the emulator's, held against each other and the SDK.

The gateway and the emulator must not share a misreading, or no test of one against the other would
ever show it. So what google-genai sends, and what becomes of it when one place is spoiled, goes
through both. Where one takes what the other refuses, the reason must stand in `KNOWN`.

`countTokens` is where the emulator's reading is asked for: it reads a whole GenerateContentRequest
there and draws nothing.
"""

import json
import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, Literal
from urllib.parse import urlsplit

import pytest
from google import genai
from google.genai import types
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st
from tests.server.gemini.conftest import PRO, Gateway, Plain, asking, in_base64, picture
from tests.server.gemini.spoiling import (
    CHANGES,
    CONTENTS,
    FULL,
    cased,
    configs,
    places,
    put,
    spoiled,
)

from heliograph.providers.tap import Tap
from heliograph.server.gemini.envelope import BadBody
from heliograph.server.gemini.inbox import Incoming, parse
from heliograph.server.gemini.protojson import Long, camel, read, snake

Reading = Callable[[Any], "list[str] | None"]
Sent = Callable[[list[types.Content], dict[str, Any]], "dict[str, Any] | None"]


@dataclass(frozen=True, kw_only=True)
class Difference:
    """Something that one reading refuses and the other takes."""

    refused_by: Literal["gateway", "emulator"]
    concerns: Callable[[str], object]  # whether a fault is of this kind
    reason: str
    example: dict[str, Any]  # a request by which it still shows


def says(pattern: str) -> Callable[[str], object]:
    return re.compile(pattern).search


ENUM = r"generativelanguage\.v1beta\.[A-Z]\w+(?:\.[A-Z]\w+)?\), "
UNREAD = (
    r"tool_config|video_metadata|part_metadata|labels|time_range_filter|"
    r"search_types|response_format\.image\.delivery|"
    r"function_call|function_response|tool_call|tool_response|executable_code|"
    r"code_execution_result|response_schema|speech_config|audio_transcription_config|"
    r"function_declarations|google_search_retrieval|code_execution|computer_use|file_search|"
    r"google_maps|url_context|mcp_servers|response_format\.(?:text|audio)"
)
KNOWN = (
    Difference(
        refused_by="gateway",
        concerns=says(
            rf"generate_content_request\S*\.(?:{UNREAD}|parts\[\d+\]\.media_resolution)\b"
        ),
        reason="The emulator does not look into what it does not act on; the gateway reads what it "
        "passes on to the last field, and of the rest that it is an object.",
        example={"toolConfig": {"x": 1}},
    ),
    Difference(
        refused_by="gateway",
        concerns=says(rf'Unknown name "(?:{UNREAD}|media_resolution)" at .*cannot start list'),
        reason="The same, for lists in their place.",
        example={"toolConfig": []},
    ),
    Difference(
        refused_by="gateway",
        concerns=says(r"\(TYPE_BOOL\), \"(?:true|false)\""),
        reason="The mapping has no truth in quotes; whether Google's parser has is not settled.",
        example={"store": "true"},
    ),
    Difference(
        refused_by="gateway",
        concerns=says(r"\(TYPE_(?:INT32|INT64|FLOAT|DOUBLE)\), \"(?: 4|04|\+4)\""),
        reason="Numbers in quotes are spelled as numbers of JSON are.",
        example={"generationConfig": {"seed": "04"}},
    ),
    Difference(
        refused_by="gateway",
        concerns=says(r"\(TYPE_FLOAT\), (?:1e\+39|\"1e39\")"),
        reason="A float of the wire has 32 bits.",
        example={"generationConfig": {"temperature": 1e39}},
    ),
    Difference(
        refused_by="gateway",
        concerns=says(rf"{ENUM}(?:\d+|\d+\.0)$"),
        reason="Harm categories 1 to 6 are published, for models of another kind; the gateway "
        "takes those alone that the models here know, which begin at 7.",
        example={"safetySettings": [{"category": 3}]},
    ),
    Difference(
        refused_by="gateway",
        concerns=says(r"image\.(?:aspect_ratio|image_size)' \(TYPE_STRING\), \d"),
        reason="No numbers are published for these enums.",
        example={"generationConfig": {"responseFormat": {"image": {"imageSize": 0}}}},
    ),
    Difference(
        refused_by="emulator",
        concerns=says(r"response_format\.image\.delivery' \(TYPE_STRING\), 0$"),
        reason="It is an enum (google-genai 3.4.0, types.Delivery), and the first value is 0.",
        example={"generationConfig": {"responseFormat": {"image": {"delivery": 0}}}},
    ),
    Difference(
        refused_by="emulator",
        concerns=says(rf"image\.(?:aspect_ratio|image_size)' .*{ENUM}\""),
        reason="Google takes names of enums alone here (gemini-api.md 2.2), and the gateway plain "
        "words too: it sends imageConfig in place of them.",
        example={"generationConfig": {"responseFormat": {"image": {"imageSize": "1K"}}}},
    ),
)


# ---------------------------------------------------------------- the two readings


@pytest.fixture(scope="session")
def emulators_reading(emulator: str) -> Iterator[Reading]:
    """The faults that a running emulator finds in a GenerateContentRequest; None for none."""
    parts = urlsplit(emulator)
    connection = HTTPConnection(parts.hostname or "", parts.port, timeout=60)

    def asked(document: Any) -> list[str] | None:
        body = json.dumps({"generateContentRequest": document})
        headers = {"x-goog-api-key": "key-of-two-readings", "content-type": "application/json"}
        connection.request("POST", f"/v1beta/models/{PRO}:countTokens", body, headers)
        answer = connection.getresponse()
        found = json.loads(answer.read())
        assert answer.status in (200, 400), found
        return None if answer.status == 200 else found["error"]["message"].split("\n")

    yield asked
    connection.close()


@pytest.fixture(scope="session")
def gateways_reading(tmp_path_factory: pytest.TempPathFactory) -> Reading:
    """The faults that the gateway finds in one."""
    folder = tmp_path_factory.mktemp("bodies")

    def asked(document: Any) -> list[str] | None:
        try:
            understood(json.dumps({"generateContentRequest": document}).encode(), folder)
        except BadBody as fault:
            return fault.what.split("\n")
        return None

    return asked


def understood(body: bytes, folder: Path) -> dict[str, Any]:
    """A body as the gateway reads it: the tap, JSON, the message, and its base64."""
    tap = Tap(folder)
    tap.feed(body)
    tapped = tap.close()
    incoming = Incoming(document=parse(tapped.skeleton), folder=folder, spools=dict(tapped.spools))
    message = read(incoming.document, "CountTokensRequest")
    for long in longs(message):
        incoming.enclosed(long, "image/png" if long.kind == "data" else None)
    return message


def longs(value: Any) -> Iterator[Long]:
    if isinstance(value, Long):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from longs(item)


def hold(document: Any, ours: Reading, theirs: Reading, known: Iterable[Difference] = KNOWN) -> str:
    """Fail where one takes what the other refuses and nobody says why; how it ended."""
    readings = {"gateway": ours(document), "emulator": theirs(document)}
    refusing = [name for name, faults in readings.items() if faults is not None]
    if len(refusing) != 1:
        return "both refuse" if refusing else "both take"
    (name,) = refusing
    for fault in readings[name] or ():
        reasons = [d for d in known if d.refused_by == name and d.concerns(fault)]
        assert reasons, f"the {name} alone refuses {json.dumps(document)}: {fault}"
    return f"known: only the {name} refuses"


# ---------------------------------------------------------------- what the SDK sends


@pytest.fixture(scope="session")
def sent() -> Iterator[Sent]:
    """What google-genai puts on the wire; None when it refuses to send at all."""
    bodies: list[dict[str, Any]] = []

    class Recorder(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            bodies.append(json.loads(self.rfile.read(int(self.headers["content-length"]))))
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Recorder) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        client = genai.Client(
            api_key="key",
            http_options=types.HttpOptions(base_url=f"http://127.0.0.1:{server.server_port}"),
        )

        def send(contents: list[types.Content], config: dict[str, Any]) -> dict[str, Any] | None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                try:
                    client.models.generate_content(
                        model=PRO,
                        contents=list(contents),
                        config=types.GenerateContentConfig(**config),
                    )
                except ValueError:
                    return None
            return bodies.pop()

        yield send
        client.close()
        server.shutdown()


# the same ones in each run: a new way to disagree must not break the work of somebody else
MANY = settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)


# ---------------------------------------------------------------- tests


# of what the SDK sends, the gateway refuses nothing that the emulator takes
SENT = [row for row in KNOWN if row.refused_by == "emulator"]
PART, SETTING = ("contents", 0, "parts", 3), ("safetySettings", 0)
IMAGE = ("generationConfig", "responseFormat", "image")
WORDS_OF: list[tuple[tuple[Any, ...], type[Enum]]] = [
    ((*SETTING, "category"), types.HarmCategory),
    ((*SETTING, "threshold"), types.HarmBlockThreshold),
    (("serviceTier",), types.ServiceTier),
    (("generationConfig", "responseModalities", 0), types.Modality),
    (("generationConfig", "mediaResolution"), types.MediaResolution),
    (("generationConfig", "thinkingConfig", "thinkingLevel"), types.ThinkingLevel),
    ((*IMAGE, "aspectRatio"), types.AspectRatio),
    ((*IMAGE, "imageSize"), types.ImageSize),
    ((*IMAGE, "delivery"), types.Delivery),
    ((*PART, "mediaResolution", "level"), types.PartMediaResolutionLevel),
    (("toolConfig", "functionCallingConfig", "mode"), types.FunctionCallingConfigMode),
]


@pytest.mark.parametrize("known", KNOWN, ids=lambda known: known.reason[:40])
def test_what_is_known_is_so(
    known: Difference, gateways_reading: Reading, emulators_reading: Reading
) -> None:
    readings = {"gateway": gateways_reading, "emulator": emulators_reading}
    faults = {name: asked(asking() | known.example) for name, asked in readings.items()}
    refused = faults.pop(known.refused_by)
    assert refused is not None
    assert all(map(known.concerns, refused))
    assert list(faults.values()) == [None], "they agree by now: the row can go"


@given(contents=CONTENTS, config=configs())
@MANY
def test_what_the_sdk_sends_is_read_alike(
    contents: list[types.Content],
    config: dict[str, Any],
    sent: Sent,
    gateways_reading: Reading,
    emulators_reading: Reading,
) -> None:
    body = sent(contents, config)
    if body is None:
        event("the SDK refuses")
        return
    for document in (body, cased(body, camel), cased(body, snake)):
        event(hold(document, gateways_reading, emulators_reading, SENT))


@pytest.mark.parametrize(("path", "words"), WORDS_OF, ids=str)
def test_every_word_of_an_enum_is_read_alike(
    path: tuple[Any, ...], words: type[Enum], gateways_reading: Reading, emulators_reading: Reading
) -> None:
    for word in words:
        for said in (word.value, word.value.lower()):
            body = spoiled(FULL, path, put(said))
            hold(body, gateways_reading, emulators_reading, SENT)


@given(contents=CONTENTS, config=configs())
@MANY
def test_what_the_sdk_meant_is_what_the_gateway_understands(
    contents: list[types.Content], config: dict[str, Any], sent: Sent
) -> None:
    body = sent(contents, config)
    if body is None:
        return
    try:
        found, other = (
            read(cased(body, spell), "GenerateContentRequest") for spell in (camel, snake)
        )
    except BadBody:
        event("the gateway refuses")
        return
    # what no model takes stays as it was written: it goes nowhere
    assert cased(plain_text(found), camel) == cased(plain_text(other), camel)
    assert read(found, "GenerateContentRequest") == found
    again = types.GenerateContentConfig.model_validate_json(
        json.dumps(plain_text(found.get("generationConfig", {})))
    )
    for name in ("image_config", "thinking_config", "temperature", "top_k", "seed"):
        assert getattr(again, name) == config.get(name), name
    for was, said in zip(contents, found["contents"], strict=True):
        assert types.Content.model_validate_json(json.dumps(plain_text(said))) == was
    settings_again = [types.SafetySetting(**one) for one in found.get("safetySettings", [])]
    assert settings_again == (config.get("safety_settings") or [])
    tier = config.get("service_tier")
    assert found.get("serviceTier") == (tier.value if tier else None)


def plain_text(value: Any) -> Any:
    """A message with its bytes as text."""
    if isinstance(value, dict):
        return {name: plain_text(item) for name, item in value.items()}
    if isinstance(value, list):
        return [plain_text(item) for item in value]
    return value.text if isinstance(value, Long) else value


@given(data=st.data())
@settings(MANY, max_examples=700)
def test_a_spoiled_place_is_seen_by_both(
    data: st.DataObject, gateways_reading: Reading, emulators_reading: Reading
) -> None:
    body = cased(FULL, data.draw(st.sampled_from([camel, snake])))
    path = data.draw(st.sampled_from(list(places(body))))
    change = data.draw(st.sampled_from(CHANGES))
    event(hold(spoiled(body, path, change), gateways_reading, emulators_reading))


@given(contents=CONTENTS, config=configs(), data=st.data())
@MANY
def test_a_spoiled_place_of_what_the_sdk_sends_is_seen_by_both(
    contents: list[types.Content],
    config: dict[str, Any],
    data: st.DataObject,
    sent: Sent,
    gateways_reading: Reading,
    emulators_reading: Reading,
) -> None:
    body = sent(contents, config)
    if body is None:
        return
    path = data.draw(st.sampled_from(list(places(body))))
    change = data.draw(st.sampled_from(CHANGES))
    event(hold(spoiled(body, path, change), gateways_reading, emulators_reading))


# ---------------------------------------------------------------- the whole way


def part(**fields: Any) -> dict[str, Any]:
    return {"contents": [{"parts": [fields]}]}


PICTURE = {"inlineData": {"mimeType": "image/png", "data": in_base64(picture())}}


@pytest.mark.parametrize(
    "body",
    [
        asking(),
        {"contents": {"parts": {"text": "a lone lake"}}},
        asking() | {"serviceTier": "SERVICE_TIER_FLEX"},
        asking() | {"labels": {"a": "b"}},
        asking() | {"continuationToken": "AAAA"},
        asking() | {"model": f"models/{PRO}"},
        asking() | {"cachedContent": "cachedContents/a"},
        asking() | {"tools": [{"googleSearch": {}}]},
        asking() | {"tools": [{"googleSearch": {"searchTypes": {"imageSearch": {}}}}]},
        asking() | {"tools": [{"codeExecution": {}}]},
        asking() | {"tools": [{"mcpServers": [{"name": "a"}]}]},
        asking() | {"tools": [{}]},
        asking() | {"toolConfig": {"functionCallingConfig": {"mode": "ANY"}}},
        asking() | {"safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT"}]},
        asking() | {"systemInstruction": {"parts": [{"text": "be brief"}]}},
        asking() | {"systemInstruction": {"parts": [{}]}},
        asking() | {"systemInstruction": {}},
        {"contents": []},
        {"contents": [{"parts": []}]},
        {"contents": [{"role": "model", "parts": [{"text": "a"}]}]},
        part(),
        part(**PICTURE),
        part(text="a", thought=True),
        part(text="a", thoughtSignature="A"),
        part(text="a", mediaResolution={"level": "MEDIA_RESOLUTION_LOW"}),
        part(text="a", videoMetadata={"startOffset": "1s"}),
        part(text=""),
        asking(imageConfig={"imageSize": "2K", "aspectRatio": "21:9"}),
        asking(imageConfig={"imageSize": "9K"}),
        asking(imageConfig={"imageSize": "512"}),
        asking(imageConfig={"imageSize": ""}),
        asking(imageConfig={"aspectRatio": "7:3"}),
        asking(imageConfig={"aspectRatio": "4:1"}),
        asking(imageConfig={}),
        asking(responseFormat={"image": {"imageSize": "IMAGE_SIZE_TWO_K"}}),
        asking(responseFormat={"image": {"imageSize": "IMAGE_SIZE_UNSPECIFIED"}}),
        asking(responseFormat={"image": {"mimeType": "IMAGE_JPEG", "delivery": "INLINE"}}),
        asking(candidateCount=0),
        asking(candidateCount=2),
        asking(maxOutputTokens=-1),
        asking(maxOutputTokens=100_000),
        asking(temperature=-1),
        asking(temperature=3),
        asking(topP=2),
        asking(topK=-1),
        asking(seed=-1),
        asking(stopSequences=["a"] * 6),
        asking(responseModalities=["Text", "Image"]),
        asking(responseModalities=["AUDIO"]),
        asking(responseModalities=["TEXT"]),
        asking(responseModalities=["MODALITY_UNSPECIFIED"]),
        asking(responseMimeType="application/json"),
        asking(responseMimeType="text/plain"),
        asking(responseJsonSchema={}),
        asking(thinkingConfig={"thinkingBudget": 1, "thinkingLevel": "LOW"}),
        asking(thinkingConfig={"thinkingLevel": "minimal"}),
        asking(logprobs=3),
        asking(mediaResolution=2),
    ],
    ids=json.dumps,
)
def test_who_is_asked_makes_no_difference(plain: Plain, gateway: Gateway, body: Any) -> None:
    there = Plain(url=gateway.upstream, keys={})
    answers = plain.draw(body), there.draw(body)
    assert [answer.status for answer in answers] in ([200, 200], [400, 400]), [
        answer.body[:400] for answer in answers if answer.status != 200
    ]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (
            asking() | {"model": "models/gemini-2.5-flash-image"},
            "the path names the model, and a body that names another can be read in two ways",
        ),
        (asking() | {"safetySettings": [{"threshold": "OFF"}]}, "a threshold for no category"),
        (
            asking() | {"safetySettings": [{"category": "HARM_CATEGORY_JAILBREAK"}] * 2},
            "one setting a category (safety.proto)",
        ),
        (
            part(functionCall={"name": "f"}),
            "no function calling on image models (gemini-api.md 1.2)",
        ),
        (part(executableCode={}), "no code execution on image models"),
        (part(toolResponse={}), "no function calling on image models (gemini-api.md 1.2)"),
        (
            asking(responseFormat={"image": {"mimeType": "image/png"}}),
            "JPEG is the only one (gemini-api.md 1.2)",
        ),
        (asking(responseFormat={"image": {"delivery": "URI"}}), "pictures are answered inline"),
        (
            asking(responseFormat={"text": {}}),
            "no structured output on image models (gemini-api.md 1.2)",
        ),
        (asking(speechConfig={}), "no audio on image models"),
        (asking(audioTranscriptionConfig={}), "no audio on image models"),
        (
            asking(thinkingConfig={"thinkingLevel": "XHIGH"}),
            "a level that the model does not have (gemini-api.md 1.2)",
        ),
    ],
    ids=str,
)
def test_where_the_gateway_is_the_stricter_one(
    plain: Plain, gateway: Gateway, body: Any, reason: str
) -> None:
    before = len(gateway.bill())
    answer = plain.draw(body)
    assert (answer.status, answer.error["status"]) == (400, "INVALID_ARGUMENT")
    assert len(gateway.bill()) == before
    there = Plain(url=gateway.upstream, keys={}).draw(body)
    assert there.status == 200, f"they agree by now, the row can go: {reason}"
