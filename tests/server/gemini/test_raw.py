"""The face by plain HTTP: both casings, odd paths, unknown names, files, keys, signs of life."""

import base64
import hashlib
import json
import re
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest
from tests.living import files_in
from tests.server.gemini.conftest import (
    PRO,
    Answer,
    Gateway,
    Plain,
    asking,
    in_base64,
    picture,
)
from tests.server.waiting import wait_until

CAMEL: dict[str, Any] = {
    "contents": [
        {
            "role": "user",
            "parts": [
                {"inlineData": {"mimeType": "image/png", "data": in_base64(picture())}},
                {"text": "make it night"},
            ],
        }
    ],
    "systemInstruction": {"parts": [{"text": "be brief"}]},
    "safetySettings": [
        {"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"},
    ],
    "generationConfig": {
        "responseModalities": ["TEXT", "IMAGE"],
        "seed": 7,
        "topP": 0.9,
        "thinkingConfig": {"includeThoughts": True},
        "imageConfig": {"aspectRatio": "16:9", "imageSize": "2K"},
    },
    "serviceTier": "flex",
}


def snaked(value: Any) -> Any:
    if isinstance(value, dict):
        return {re.sub(r"(?=[A-Z])", "_", k).lower(): snaked(v) for k, v in value.items()}
    return [snaked(each) for each in value] if isinstance(value, list) else value


def jpegs(answer: Answer) -> list[str]:
    return [part["inlineData"]["data"] for part in answer.parts if "inlineData" in part]


def test_both_casings_ask_for_the_same(plain: Plain) -> None:
    camel = plain.draw(CAMEL)
    snake = plain.draw(snaked(CAMEL))
    assert (camel.status, snake.status) == (200, 200)
    usage = [answer.json["usageMetadata"]["promptTokenCount"] for answer in (camel, snake)]
    assert usage[0] == usage[1] > 560
    assert camel.headers["x-heliograph-pixels"] == snake.headers["x-heliograph-pixels"]
    assert int(camel.headers["content-length"]) == len(camel.body)


def test_the_newer_form_of_size_and_ratio(plain: Plain) -> None:
    wanted = plain.draw(asking(imageConfig={"imageSize": "2K", "aspectRatio": "21:9"}))
    for image in (
        {"imageSize": "IMAGE_SIZE_TWO_K", "aspectRatio": "ASPECT_RATIO_TWENTY_ONE_BY_NINE"},
        {"imageSize": "2k", "aspectRatio": "21:9"},
    ):
        answer = plain.draw(asking(responseFormat={"image": image}))
        assert answer.status == 200, answer.body
        assert answer.headers["x-heliograph-pixels"] == wanted.headers["x-heliograph-pixels"]
    both = asking(imageConfig={"imageSize": "1K"}, responseFormat={"image": {"imageSize": "2K"}})
    assert "contradict" in plain.draw(both).error["message"]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            asking() | {"api_base": "http://evil.example"},
            'Invalid JSON payload received. Unknown name "api_base": Cannot find field.',
        ),
        (
            asking() | {"extra_headers": {"x-goog-api-key": "k"}},
            'Invalid JSON payload received. Unknown name "extra_headers": Cannot find field.',
        ),
        (
            asking(imageConfig={"outputMimeType": "image/png"}),
            (
                'Invalid JSON payload received. Unknown name "outputMimeType" at '
                "'generation_config.image_config': Cannot find field."
            ),
        ),
        (asking(candidateCount=2), f"Multiple candidates is not enabled for models/{PRO}"),
        (
            asking() | {"cachedContent": "cachedContents/1"},
            f"CachedContent is not supported by models/{PRO}",
        ),
        (
            asking() | {"tools": [{"functionDeclarations": [{"name": "f"}]}]},
            f"Function calling is not enabled for models/{PRO}",
        ),
        (
            asking(thinkingConfig={"thinkingBudget": 1, "thinkingLevel": "HIGH"}),
            "You can only set only one of thinking budget and thinking level.",
        ),
        (asking(responseMimeType="application/json"), f"JSON mode is not enabled for models/{PRO}"),
        ({}, "* GenerateContentRequest.contents: contents is not specified\n"),
        (
            {"contents": [{"role": "system", "parts": [{"text": "a"}]}]},
            "Please use a valid role: user, model.",
        ),
        (
            asking(responseModalities=["SMELL"]),
            (
                "Invalid value at 'generation_config.response_modalities[0]' (type.googleapis.com/"
                'google.ai.generativelanguage.v1beta.GenerationConfig.Modality), "SMELL"'
            ),
        ),
        (
            {"contents": [{"parts": [{"inlineData": {"mimeType": "image/svg+xml", "data": ""}}]}]},
            "Unsupported MIME type: image/svg+xml",
        ),
    ],
)
def test_what_google_refuses_is_refused_in_its_words(
    plain: Plain, body: dict[str, Any], message: str
) -> None:
    answer = plain.draw(body)
    assert answer.status == 400
    assert answer.error["message"] == message
    assert answer.error["status"] == "INVALID_ARGUMENT"
    assert answer.headers["x-should-retry"] == "false"


def test_our_own_problems_are_named_by_field(plain: Plain) -> None:
    answer = plain.draw(asking(imageConfig={"imageSize": "9K"}))
    assert answer.status == 400
    (problems,) = [d for d in answer.error["details"] if d["@type"].endswith("BadRequest")]
    assert problems["fieldViolations"][0]["field"] == "size"


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"[]",
        b'"text"',
        b'data: {"contents":[]}',
        b'{"contents":[],"contents":[]}',
        b'{"contents":[],"contents_":NaN}',
        b'{"store":true,"generationConfig":{"temperature":1e999}}',
        b'{"generationConfig":{"seed":' + b"9" * 5000 + b"}}",
        b'{"contents":' * 2000,
        b'{"a":' + b"[" * 100_000,
        b'{"contents":[{"parts":[{"text":"\\ud800"}]}]}',
        b'{"contents":[{"parts":[{"text":"\xff"}]}]}',
    ],
)
def test_json_that_can_be_read_in_two_ways_or_not_at_all(plain: Plain, body: bytes) -> None:
    answer = plain.draw(body)
    assert answer.status == 400
    assert answer.error["message"].startswith("Invalid JSON payload received.")


def test_base64(plain: Plain) -> None:
    def body(data: str, key: str = "data") -> bytes:
        return (
            '{"contents":[{"parts":[{"inlineData":{"mimeType":"image/png","'
            f'{key}":"{data}"}}}},{{"text":"make it night"}}]}}]}}'
        ).encode()

    plainly = in_base64(picture())
    urlsafe = plainly.replace("+", "-").replace("/", "_")
    assert plainly != urlsafe
    for spelled in (plainly, urlsafe, urlsafe.rstrip("="), plainly.replace("/", "\\/")):
        assert plain.draw(body(spelled)).status == 200, spelled[:20]
    assert plain.draw(body(plainly, "d\\u0061ta")).status == 200
    for broken in (plainly[:-5] + "!!!!", "AA==" + plainly, plainly + "A", "%" + plainly):
        answer = plain.draw(body(broken))
        assert "Base64 decoding failed" in answer.error["message"], broken[:20]


def test_a_picture_that_is_none(plain: Plain) -> None:
    svg = in_base64(b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>")
    part = {"inlineData": {"mimeType": "image/png", "data": svg}}
    answer = plain.draw({"contents": [{"parts": [part, {"text": "a"}]}]})
    assert answer.status == 400
    assert answer.reason == "invalid_request"


@pytest.mark.parametrize(
    ("path", "status"),
    [
        (f"/v1beta/models/..%2F{PRO}:generateContent", 400),
        (f"/v1beta/models/%2e%2e%2f{PRO}:generateContent", 400),
        (f"/v1beta/models/../models/{PRO}:generateContent", 400),
        (f"/v1beta/models/{PRO}%0d%0ax-evil:%201:generateContent", 400),
        (f"/v1beta/models/{PRO}%3AgenerateContent%3Fkey=:generateContent", 404),
        (f"/v1beta/models/{PRO}:generateContent/x", 404),
        (f"/v1beta/models/{PRO}:predict", 404),
        (f"/v1beta/models/{PRO}", 404),
        (f"/v1beta/tunedModels/{PRO}:generateContent", 404),
        ("/v1beta/models/:generateContent", 404),
        ("/v1beta/models/no-such:generateContent", 404),
        ("/v1beta/models/gemini-2.5-flash-image:generateContent", 404),
        (f"/gemini/v2/models/{PRO}:generateContent", 404),
    ],
)
def test_odd_paths_lead_nowhere(plain: Plain, gateway: Gateway, path: str, status: int) -> None:
    before = len(gateway.bill())
    answer = plain.post(path, asking())
    assert answer.status == status
    assert answer.error["status"] == {400: "INVALID_ARGUMENT", 404: "NOT_FOUND"}[status]
    assert len(gateway.bill()) == before


def test_batches_say_that_they_are_not_there(plain: Plain) -> None:
    for answer in (
        plain.post(f"/v1/models/{PRO}:batchGenerateContent", {}),
        plain.get("/v1/batches?pageSize=5"),
        plain.send("DELETE", "/v1/batches/b1"),
        plain.post("/v1/batches/b1:cancel", b""),
    ):
        assert answer.status == 501
        assert answer.error["status"] == "UNIMPLEMENTED"
        assert answer.reason == "not_implemented"


def test_pages(plain: Plain) -> None:
    first = plain.get("/v1/models?pageSize=2").json
    assert len(first["models"]) == 2
    rest = plain.get(f"/v1/models?page_size=1000000000&pageToken={first['nextPageToken']}").json
    assert len(rest["models"]) == 1
    assert "nextPageToken" not in rest
    for query in ("pageSize=-1", "pageSize=x", "pageToken=%%%25", "pageToken=AAAA"):
        assert plain.get(f"/v1/models?{query}").status == 400


def test_bodies_of_other_kinds(plain: Plain) -> None:
    assert plain.draw(b"{}", content_type="multipart/form-data; boundary=x").status == 415
    assert plain.draw(b"{}", content_encoding="gzip").status == 415
    assert plain.draw(b"{}", content_type="text/plain").status == 415


def test_too_large_is_said_before_it_is_read(plain: Plain) -> None:
    # not one byte of the body is sent, so whoever waited for it would have no answer
    answer = plain.draw(None, content_length=str(10**12))
    assert answer.status == 413


def test_endless_text_is_no_picture(plain: Plain) -> None:
    answer = plain.draw(json.dumps(asking("x" * (9 << 20))).encode())
    assert answer.status == 413
    assert answer.reason == "too_large"


# ---------------------------------------------------------------- streams


def events(answer: Answer) -> list[dict[str, Any]]:
    lines = answer.body.decode().replace("\r\n", "\n").split("\n")
    assert all(line.startswith("data: {") or not line for line in lines)
    return [json.loads(line[6:]) for line in lines if line]


def test_a_stream_of_events_and_an_array(plain: Plain) -> None:
    sse = plain.draw(asking(), method="streamGenerateContent?alt=sse")
    assert sse.headers["content-type"].startswith("text/event-stream")
    array = plain.draw(asking(), method="streamGenerateContent")
    assert array.headers["content-type"].startswith("application/json")
    assert len(events(sse)) == len(array.json) == 3
    # as generated REST clients ask for it
    other = plain.draw(asking(), method="streamGenerateContent?$alt=json;enum-encoding=int")
    assert len(other.json) == 3
    assert plain.draw(asking(), method="streamGenerateContent?alt=media;a=b").status == 400
    assert sse.headers["x-heliograph-verified"] == "verified"


def test_events_stay_alive_while_the_picture_is_made(plain: Plain) -> None:
    slow = asking("a lake [[fault:slow:5]]")
    answer = plain.draw(slow, method="streamGenerateContent?alt=sse")
    assert answer.status == 200
    assert answer.body.startswith(b"\r\n\r\n")
    assert len(events(answer)) == 3
    assert "content-length" not in answer.headers


def test_an_error_after_the_start_stands_in_the_stream(plain: Plain) -> None:
    # the gateway waits as it is told, and asks again, until it gives up
    answer = plain.draw(
        asking("a lake [[fault:rate-minute:1]]"), method="streamGenerateContent?alt=sse"
    )
    assert answer.status == 200
    assert answer.body.startswith(b"\r\n")
    (event,) = events(answer)
    assert event["error"]["code"] == 429
    assert event["error"]["status"] == "RESOURCE_EXHAUSTED"


def test_an_early_error_keeps_its_status(plain: Plain) -> None:
    bad = asking(imageConfig={"imageSize": "9K"})
    assert plain.draw(bad, method="streamGenerateContent?alt=sse").status == 400
    array = plain.draw(bad, method="streamGenerateContent")
    assert array.status == 400
    assert array.json[0]["error"]["code"] == 400


def test_signs_of_life_for_who_asks_for_them(plain: Plain) -> None:
    slow = asking("a lake [[fault:slow:5]]")
    answer = plain.draw(slow, x_heliograph_keepalive="1")
    assert answer.body.startswith(b"  ")
    assert len(jpegs(answer)) == 1
    quiet = plain.draw(asking(), x_heliograph_keepalive="60")
    assert quiet.body.startswith(b"{")
    assert "x-heliograph-job" in quiet.headers
    for given in ("0", "601", "x", "1.5"):
        assert plain.draw(asking(), x_heliograph_keepalive=given).status == 400


# ---------------------------------------------------------------- idempotency


def test_a_key_answers_again_without_a_call(plain: Plain, gateway: Gateway) -> None:
    before = len(gateway.bill())
    first = plain.draw(asking("a red lake"), idempotency_key="raw-1")
    again = plain.draw(asking("a red lake"), idempotency_key="raw-1")
    assert len(gateway.bill()) == before + 1
    assert again.body == first.body
    assert again.headers["idempotency-replayed"] == "true"
    assert again.headers["x-heliograph-cost-usd"] == "0.000000"
    other = plain.draw(asking("a blue lake"), idempotency_key="raw-1")
    stream = plain.draw(
        asking("a red lake"), method="streamGenerateContent", idempotency_key="raw-1"
    )
    assert stream.status == 422
    assert (other.status, other.reason) == (422, "idempotency_key_reused")
    assert plain.draw(asking(), idempotency_key="x" * 300).status == 400


def test_a_refusal_is_repeated_as_it_was(plain: Plain, gateway: Gateway) -> None:
    before = len(gateway.bill())
    body = asking("a lake [[fault:image-safety]]")
    first = plain.draw(body, idempotency_key="raw-2")
    again = plain.draw(body, idempotency_key="raw-2")
    assert (first.status, again.status) == (200, 200)
    assert again.body == first.body
    assert again.headers["idempotency-replayed"] == "true"
    assert first.json["candidates"][0]["finishReason"] == "IMAGE_SAFETY"
    assert "You will not be charged" in first.json["candidates"][0]["finishMessage"]
    assert len(gateway.bill()) <= before + 1


def test_an_sdks_own_retry_joins(plain: Plain, gateway: Gateway) -> None:
    before = len(gateway.bill())
    body = asking("a joined lake [[fault:slow:2]]")
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(plain.draw, body)
        wait_until(lambda: gateway.sent("a joined lake"))
        again = pool.submit(plain.draw, body, x_stainless_retry_count="1")
        assert first.result().body == again.result().body
    assert len(gateway.bill()) == before + 1


# ---------------------------------------------------------------- files


def started(plain: Plain, meta: dict[str, Any] | None = None, **headers: str) -> Answer:
    sent = {
        "x_goog_upload_protocol": "resumable",
        "x_goog_upload_command": "start",
        "x_goog_upload_header_content_type": "image/png",
    }
    return plain.post("/upload/v1beta/files", {"file": meta or {}}, **{**sent, **headers})


def chunk(plain: Plain, url: str, data: bytes, command: str, offset: int) -> Answer:
    return plain.send(
        "POST",
        url.removeprefix(plain.url),
        data,
        key="",
        x_goog_upload_command=command,
        x_goog_upload_offset=str(offset),
        content_type="application/json",
    )


def test_an_upload_goes_on_where_it_broke_off(plain: Plain, gateway: Gateway) -> None:
    data = picture() + bytes(3000)
    begun = started(plain, x_goog_upload_header_content_length=str(len(data)))
    url = begun.headers["x-goog-upload-url"]
    assert url.startswith(f"{gateway.url}/upload/v1beta/files?upload_id=")
    assert begun.headers["x-goog-upload-status"] == "active"
    assert chunk(plain, url, data[:1000], "upload", 0).headers["x-goog-upload-status"] == "active"
    # once more, as a client does that missed the answer
    chunk(plain, url, data[:1000], "upload", 0)
    asked = chunk(plain, url, b"", "query", 0)
    assert asked.headers["x-goog-upload-size-received"] == "1000"
    assert chunk(plain, url, data[2000:], "upload", 2000).status == 400
    assert chunk(plain, url, b"", "finalize", 1000).status == 400
    last = chunk(plain, url, data[1000:], "upload, finalize", 1000)
    assert last.headers["x-goog-upload-status"] == "final"
    file = last.json["file"]
    assert file["sizeBytes"] == str(len(data))
    assert file["uri"] == f"{gateway.url}/v1beta/{file['name']}"
    assert chunk(plain, url, b"x", "upload", 0).status == 400
    part = {"fileData": {"fileUri": file["uri"], "mimeType": "image/png"}}
    drawn = plain.draw({"contents": [{"parts": [part, {"text": "make it night"}]}]})
    assert drawn.status == 200, drawn.body


def test_more_bytes_than_declared_are_refused(plain: Plain) -> None:
    url = started(plain, x_goog_upload_header_content_length="10").headers["x-goog-upload-url"]
    assert chunk(plain, url, bytes(11), "upload, finalize", 0).status == 413
    assert started(plain, x_goog_upload_header_content_length=str(10**10)).status == 413


def test_uploads_need_a_key_to_begin_and_an_id_to_go_on(plain: Plain) -> None:
    assert started(plain, key="").status == 401
    assert started(plain, key="vera").status == 403
    wrong = f"{plain.url}/upload/v1beta/files?upload_id={'A' * 43}"
    assert chunk(plain, wrong, b"x", "upload", 0).status == 400
    # an id lets nobody begin another one
    url = started(plain).headers["x-goog-upload-url"]
    assert chunk(plain, url, b"", "start", 0).status == 400
    assert chunk(plain, url, b"", "cancel", 0).status == 200
    assert chunk(plain, url, b"x", "upload", 0).status == 400


@pytest.mark.parametrize("name", ["../../etc/passwd", "files/../x", "A", "a" * 41, "a\x00b", "é"])
def test_names_of_files_are_no_paths(plain: Plain, gateway: Gateway, name: str) -> None:
    assert started(plain, {"name": name}).status == 400
    written = [path.name for path in files_in(gateway.home) if "passwd" in path.name]
    assert written == []


def test_a_name_is_taken_once(plain: Plain) -> None:
    for status in (200, 409):
        begun = started(plain, {"name": "files/my-own-name"})
        assert begun.status == status
        if status == 200:
            url = begun.headers["x-goog-upload-url"]
            chunk(plain, url, picture(), "upload, finalize", 0)
    # another user may have the same name
    assert started(plain, {"name": "files/my-own-name"}, key="ben").status == 200


@pytest.mark.parametrize(
    "uri",
    [
        "https://example.com/picture.png",
        "gs://bucket/picture.png",
        "file:///etc/passwd",
        "http://169.254.169.254/files/a",
        "https://generativelanguage.googleapis.com/v1beta/files/abc",
        "files/../../etc/passwd",
        "",
    ],
)
def test_other_addresses_are_never_fetched(plain: Plain, uri: str) -> None:
    part = {"file_data": {"file_uri": uri, "mime_type": "image/png"}}
    answer = plain.draw({"contents": [{"parts": [part, {"text": "a"}]}]})
    assert (answer.status, answer.reason) == (400, "url_inputs_disabled")


# ---------------------------------------------------------------- what is kept of a body


def test_signatures_go_back_byte_for_byte(plain: Plain) -> None:
    first = plain.draw(asking("a lake"))
    model = first.json["candidates"][0]["content"]
    night = {"role": "user", "parts": [{"text": "make it night"}]}
    lake = {"role": "user", "parts": [{"text": "a lake"}]}
    assert plain.draw({"contents": [lake, model, night]}).status == 200
    assert plain.draw({"contents": [lake, snaked(model), night]}).status == 200
    for part in model["parts"]:
        if "thoughtSignature" in part:
            part["thoughtSignature"] = part["thoughtSignature"][:-8] + "AAAAAAA="
    answer = plain.draw({"contents": [lake, model, night]})
    assert answer.status == 400
    assert "Corrupted thought signature." in answer.error["message"]
    for part in model["parts"]:
        part.pop("thoughtSignature", None)
    answer = plain.draw({"contents": [lake, model, night]})
    assert "is missing a thought_signature" in answer.error["message"]


def test_nothing_of_a_body_stays_behind(plain: Plain, gateway: Gateway) -> None:
    assert plain.draw(CAMEL).status == 200
    assert plain.draw(b"{").status == 400
    assert list((gateway.home / "server" / "inbox").iterdir()) == []


def test_the_answer_is_the_kept_picture(plain: Plain, gateway: Gateway) -> None:
    (data,) = jpegs(plain.draw(asking("kept as it came")))
    digest = hashlib.sha256(base64.b64decode(data)).hexdigest()
    assert [path for path in files_in(gateway.home) if path.name.startswith(digest)]


def test_work_goes_on_when_the_client_leaves(plain: Plain, gateway: Gateway) -> None:
    before = len(gateway.bill())
    parts = urlsplit(gateway.url)
    body = json.dumps(asking("left alone [[fault:slow:5]]")).encode()
    head = (
        f"POST /v1/models/{PRO}:streamGenerateContent?alt=sse HTTP/1.1\r\nhost: {parts.netloc}\r\n"
        f"x-goog-api-key: {gateway.keys['anna']}\r\nidempotency-key: raw-left\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection((parts.hostname or "", parts.port or 0)) as connection:
        connection.sendall(head.encode() + body)
        assert connection.recv(100).startswith(b"HTTP/1.1 200")
    again = plain.post(
        f"/v1/models/{PRO}:streamGenerateContent?alt=sse",
        body,
        idempotency_key="raw-left",
        prefer="wait=60",
    )
    assert again.status == 200
    assert len(events(again)) == 3
    assert len(gateway.bill()) == before + 1
