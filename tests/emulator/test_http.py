"""The other routes: keys, models, tokens, streams, files, control."""

import base64
import hashlib
import json
import re
import time
from typing import Any

import aiohttp
import pytest

PRO = "/v1/models/gemini-3-pro-image"


@pytest.mark.parametrize(
    ("key", "code", "message"),
    [
        ("", 403, "Method doesn't allow unregistered callers"),
        ("emu-leaked", 403, "reported as leaked"),
        ("emu-expired", 400, "API key expired. Please renew the API key."),
        ("emu-location", 400, "User location is not supported for the API use."),
        ("emu-depleted", 429, "Your prepayment credits are depleted."),
        ("emu-free-tier", 429, "limit: 0"),
        ("emu-blocked", 403, "are blocked"),
        ("emu-disabled", 403, "it is disabled"),
    ],
)
async def test_well_known_bad_keys(emu: Any, key: str, code: int, message: str) -> None:
    reply = await emu.generate(key=key)
    assert reply.status == reply.error["code"] == code
    assert message in reply.error["message"]
    (line,) = await emu.ledger()
    assert line["billed_micro"] == 0
    assert key not in json.dumps(line) or not key


async def test_only_listed_keys_when_there_is_a_list(start: Any) -> None:
    async with start(api_keys=("good",)) as emu:
        assert (await emu.generate(key="good")).status == 200
        reply = await emu.generate(key="bad")
        assert reply.status == 400
        details = reply.error["details"]
        assert details[0] == {
            "@type": "type.googleapis.com/google.rpc.ErrorInfo",
            "reason": "API_KEY_INVALID",
            "domain": "googleapis.com",
            "metadata": {"service": "generativelanguage.googleapis.com"},
        }
        assert details[1]["@type"] == "type.googleapis.com/google.rpc.LocalizedMessage"


async def test_the_key_may_be_in_the_query_and_is_never_shown(emu: Any) -> None:
    body = {"contents": [{"parts": [{"text": "a"}]}]}
    reply = await emu.post(f"{PRO}:generateContent?key=emu-project-acme", body, key="")
    assert reply.status == 200
    (line,) = await emu.ledger()
    assert line["project"] == "acme"
    assert line["key_hash"] == hashlib.sha256(b"emu-project-acme").hexdigest()[:12]
    await emu.generate(key="a-very-secret-key")
    log = await emu.get("/_emulator/requests")
    assert b"a-very-secret-key" not in log.body
    assert b"emu-project-acme" not in log.body


async def test_both_versions_answer(emu: Any) -> None:
    body = {"contents": [{"parts": [{"text": "a"}]}]}
    for version in ("v1", "v1beta"):
        path = f"/{version}/models/gemini-3-pro-image:generateContent"
        assert (await emu.post(path, body)).status == 200
    assert (await emu.post("/v2/models/gemini-3-pro-image:generateContent", body)).status == 404
    missing = await emu.post("/v1/models/gemini-2.5-flash-image:generateContent", body)
    assert "API version v1, or" in missing.error["message"]


async def test_models_page_by_page(emu: Any) -> None:
    names, path = [], "/v1beta/models?pageSize=2"
    while path:
        page = (await emu.get(path)).json
        names.append([model["name"] for model in page["models"]])
        token = page.get("nextPageToken")
        path = f"/v1beta/models?pageSize=2&pageToken={token}" if token else ""
    assert names == [
        ["models/gemini-3-pro-image", "models/gemini-nano-banana-2.1"],
        ["models/gemini-3.1-flash-lite-image"],
    ]
    for wrong in ("pageToken=x", "pageSize=many"):
        assert (await emu.get(f"/v1/models?{wrong}")).status == 400
    model = (await emu.get("/v1/models/gemini-3-pro-image")).json
    assert (model["inputTokenLimit"], model["outputTokenLimit"]) == (131072, 32768)
    assert (model["maxTemperature"], model["thinking"]) == (1, True)
    assert (await emu.get("/v1/models/gemini-3.1-flash-image")).status == 404


async def test_count_tokens_counts_as_generate_does(emu: Any) -> None:
    contents = [{"parts": [{"text": "twelve chars"}, {"text": "日本"}]}]
    counted = (await emu.post(f"{PRO}:countTokens", {"contents": contents})).json
    assert counted == {
        "totalTokens": 5,
        "promptTokensDetails": [{"modality": "TEXT", "tokenCount": 5}],
    }
    usage = (await emu.generate(contents=contents)).json["usageMetadata"]
    assert usage["promptTokenCount"] == counted["totalTokens"]
    wrapped = {"generateContentRequest": {"contents": contents}}
    assert (await emu.post(f"{PRO}:countTokens", wrapped)).json["totalTokens"] == 5
    assert len(await emu.ledger()) == 1


async def test_server_sent_events_hold_only_data_lines(emu: Any) -> None:
    reply = await emu.generate(method="streamGenerateContent?alt=sse", size="2K")
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.body.count(b"\r\n\r\n") == 3
    assert reply.body.endswith(b"\r\n\r\n")
    lines = reply.body.split(b"\r\n")
    assert all(line == b"" or line.startswith(b"data: {") for line in lines)
    events = [json.loads(line[6:]) for line in lines if line]
    assert len(events) == 3
    parts = [event["candidates"][0]["content"]["parts"][0] for event in events]
    assert ["text" in part for part in parts] == [True, False, True]
    assert parts[1]["inlineData"]["mimeType"] == "image/jpeg"
    assert [part.get("thoughtSignature") is not None for part in parts] == [True, True, False]
    assert ["usageMetadata" in event for event in events] == [False, False, True]
    assert [event["candidates"][0].get("finishReason") for event in events] == [None, None, "STOP"]
    assert len({event["responseId"] for event in events}) == 1


async def test_without_sse_a_stream_is_one_list(emu: Any) -> None:
    reply = await emu.generate(method="streamGenerateContent")
    assert reply.headers["content-type"] == "application/json; charset=UTF-8"
    assert len(reply.json) == 3
    refused = await emu.generate(method="streamGenerateContent", size="4k")
    assert refused.status == 400
    assert refused.json[0]["error"]["status"] == "INVALID_ARGUMENT"


async def upload(emu: Any, data: bytes, mime: str = "image/png") -> dict[str, Any]:
    started = await emu.post(
        "/upload/v1/files",
        {"file": {"display_name": "dn", "mime_type": mime, "size_bytes": len(data)}},
        X_Goog_Upload_Protocol="resumable",
        X_Goog_Upload_Command="start",
        X_Goog_Upload_Header_Content_Length=str(len(data)),
        X_Goog_Upload_Header_Content_Type=mime,
    )
    url = started.headers["x-goog-upload-url"]
    assert url.startswith(emu.url + "/upload/v1/files?upload_id=")
    path = url.removeprefix(emu.url)
    half = 1024 * 1024
    first = await emu.post(
        path, data[:half], key="", X_Goog_Upload_Command="upload", X_Goog_Upload_Offset="0"
    )
    assert first.headers["x-goog-upload-status"] == "active"
    asked = await emu.post(path, b"", key="", X_Goog_Upload_Command="query")
    assert asked.headers["x-goog-upload-size-received"] == str(half)
    last = await emu.post(
        path,
        data[half:],
        key="",
        X_Goog_Upload_Command="upload, finalize",
        X_Goog_Upload_Offset=str(half),
    )
    assert last.headers["x-goog-upload-status"] == "final"
    stored: dict[str, Any] = last.json["file"]
    return stored


async def test_files_from_upload_to_deletion(emu: Any) -> None:
    data = bytes(1024 * 1024 + 5)
    stored = await upload(emu, data)
    assert re.fullmatch(r"files/[a-z0-9]{12}", stored["name"])
    assert stored["sizeBytes"] == str(len(data))
    digest = hashlib.sha256(data).hexdigest()
    assert base64.b64decode(stored["sha256Hash"]).decode() == digest
    path = f"/v1/{stored['name']}"
    assert (await emu.get(path)).json == stored
    assert (await emu.get("/v1/files")).json == {"files": [stored]}
    assert (await emu.get(path, key="emu-project-other")).status == 403
    assert (await emu.get(f"{path}:download?alt=media")).status == 400
    assert (await emu.send("DELETE", path)).json == {}
    gone = await emu.get(path)
    assert gone.status == 403
    assert gone.error["message"] == (
        f"You do not have permission to access the File {stored['name'][6:]} or it may not exist."
    )


async def test_uploads_that_go_wrong(emu: Any) -> None:
    start = {"X_Goog_Upload_Command": "start"}
    assert (await emu.post("/upload/v1/files", {"file": {}}, key="", **start)).status == 403
    assert (await emu.post("/upload/v1/files", {"file": {"x": 1}}, **start)).status == 400
    assert (await emu.post("/upload/v1/files", {"file": {}})).status == 400
    unknown = "/upload/v1/files?upload_id=none"
    assert (await emu.post(unknown, b"", X_Goog_Upload_Command="upload")).status == 400
    begun = await emu.post("/upload/v1beta/files", {"file": {}}, **start)
    path = begun.headers["x-goog-upload-url"].removeprefix(emu.url)
    assert path.startswith("/upload/v1beta/")
    assert (await emu.post(path, b"", X_Goog_Upload_Command="dance")).status == 400
    late = {"X_Goog_Upload_Command": "upload, finalize", "X_Goog_Upload_Offset": "5"}
    assert (await emu.post(path, b"abc", **late)).status == 400
    cancelled = await emu.post(path, b"", X_Goog_Upload_Command="cancel")
    assert cancelled.headers["x-goog-upload-status"] == "cancelled"
    assert (await emu.post(path, b"", X_Goog_Upload_Command="query")).status == 400
    assert (await emu.get("/v1/files")).json == {"files": []}


async def test_a_file_is_used_by_its_uri(emu: Any) -> None:
    answer = await emu.generate(config={"responseModalities": ["IMAGE"]}, ratio="16:9", size="2K")
    data = base64.b64decode(answer.images[0]["inlineData"]["data"])
    padded = data + bytes(1024 * 1024)
    stored = await upload(emu, padded, "image/jpeg")
    parts = [{"fileData": {"file_uri": stored["uri"]}}, {"text": "redraw"}]
    reply = await emu.generate(contents=[{"parts": parts}])
    assert reply.status == 200
    modalities = [row["modality"] for row in reply.json["usageMetadata"]["promptTokensDetails"]]
    assert modalities == ["TEXT", "IMAGE"]
    foreign = [{"fileData": {"fileUri": "https://example.org/a.png"}}, {"text": "redraw"}]
    assert (await emu.generate(contents=[{"parts": foreign}])).status == 400


async def test_the_request_log_compares_clients(emu: Any) -> None:
    data = bytes(range(256)) * 32
    part = {"inlineData": {"mimeType": "image/png", "data": base64.b64encode(data).decode()}}
    await emu.generate(contents=[{"parts": [part, {"text": "x"}]}])
    (entry,) = (await emu.get("/_emulator/requests")).json
    assert entry["method"] == "POST"
    assert entry["path"] == "/v1beta/models/gemini-3-pro-image:generateContent"
    assert entry["headers"]["x-goog-api-key"] == "(redacted)"
    logged = entry["json"]["contents"][0]["parts"][0]["inlineData"]["data"]
    assert logged == {"sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}


async def test_what_is_not_emulated_says_so(emu: Any) -> None:
    for verb, path in (
        ("POST", "/v1/models/gemini-3-pro-image:batchGenerateContent"),
        ("GET", "/v1/batches"),
        ("GET", "/v1/batches/b1"),
    ):
        reply = await emu.send(verb, path)
        assert (reply.status, reply.error["status"]) == (501, "UNIMPLEMENTED")
        assert "not emulated" in reply.headers["x-emu-note"]
    assert (await emu.get("/v1/nothing")).error["status"] == "NOT_FOUND"


async def test_rules_over_http(emu: Any) -> None:
    rule = {"match": {"project": "acme"}, "action": "rate-minute", "args": 9, "count": 1}
    assert (await emu.post("/_emulator/rules", [rule])).status == 200
    assert (await emu.generate()).status == 200
    struck = await emu.generate(key="emu-project-acme")
    assert struck.status == 429
    assert struck.error["details"][-1]["retryDelay"] == "9s"
    assert (await emu.generate(key="emu-project-acme")).status == 200
    assert (await emu.get("/_emulator/rules")).json == [{**rule, "met": 2}]
    assert (await emu.send("DELETE", "/_emulator/rules")).json == []
    assert (await emu.post("/_emulator/rules", [{"action": "x"}])).status == 400


async def test_rules_strike_the_small_calls_too(emu: Any) -> None:
    await emu.post("/_emulator/rules", {"match": {"path": "/v1/models"}, "action": "internal"})
    assert (await emu.get("/v1/models")).status == 500
    assert (await emu.get("/v1/models/gemini-3-pro-image")).status == 200


async def test_small_calls_meet_resets_and_fixed_bodies(emu: Any) -> None:
    match = {"method": "countTokens"}
    for action in ("bad-gateway", "reset-before"):
        await emu.post("/_emulator/rules", {"match": match, "action": action, "count": 1})
    # A fault of pictures has nothing to do here.
    await emu.post("/_emulator/rules", {"match": match, "action": "silent-1k"})
    path, body = f"{PRO}:countTokens", {"contents": [{"parts": [{"text": "a"}]}]}
    with pytest.raises(aiohttp.ClientConnectionError):
        await emu.post(path, body)
    assert [(await emu.post(path, body)).status for _ in range(2)] == [502, 200]


async def test_realistic_latency_is_in_the_measured_range(start: Any) -> None:
    async with start(latency="realistic") as emu:
        begun = time.monotonic()
        reply = await emu.generate(headers={"X_Server_Timeout": "0.3"})
        assert reply.status == 504
        assert time.monotonic() - begun >= 0.3


async def test_a_rule_can_set_any_finish_reason(emu: Any) -> None:
    await emu.post("/_emulator/rules", {"action": "finish", "args": "SPII"})
    reply = await emu.generate()
    assert reply.json["candidates"] == [{"content": {}, "finishReason": "SPII", "index": 0}]


async def test_reset_forgets_everything_but_never_repeats_an_id(emu: Any) -> None:
    await emu.generate()
    (before,) = await emu.ledger()
    await emu.post("/_emulator/rules", {"action": "internal"})
    await emu.post("/_emulator/reset", {})
    assert await emu.ledger() == []
    assert (await emu.get("/_emulator/requests")).json == []
    assert (await emu.generate()).status == 200
    (after,) = await emu.ledger()
    assert after["call"] != before["call"]


async def test_total_and_health(emu: Any) -> None:
    await emu.generate()
    await emu.generate(key="emu-project-acme")
    await emu.generate("[[fault:internal]]")
    lines = await emu.ledger()
    total = (await emu.get("/_emulator/ledger/total")).json
    assert total["calls"] == 3
    assert total["billed_calls"] == 2
    assert total["billed_micro"] == sum(line["billed_micro"] for line in lines) > 260_000
    assert set(total["by_project"]) == {"default", "acme"}
    assert (await emu.get("/_emulator/healthz")).json == {"ok": True, "seed": 7, "calls": 3}
    names = {row["name"] for row in (await emu.get("/_emulator/faults")).json}
    assert {"silent-1k", "cut-json", "image", "usage-huge"} <= names


@pytest.mark.parametrize("shape", ["list", "object"])
async def test_deep_json_is_refused_like_any_other(emu: Any, shape: str) -> None:
    deep = b"[" * 900 + b"]" * 900 if shape == "list" else b'{"a":' * 900 + b"1" + b"}" * 900
    reply = await emu.post(f"{PRO}:generateContent", b'{"contents":' + deep + b"}")
    assert (reply.status, reply.error["status"]) == (400, "INVALID_ARGUMENT")
    assert (await emu.get("/_emulator/requests")).status == 200


async def test_a_long_reason_still_fits_a_header(emu: Any) -> None:
    reply = await emu.generate(size="x" * 20_000)
    assert reply.status == 400
    assert len(reply.headers["x-emu-note"]) <= 1000


async def test_a_body_that_is_not_what_its_encoding_says(emu: Any) -> None:
    reply = await emu.post(f"{PRO}:generateContent", b"not gzip", Content_Encoding="gzip")
    assert (reply.status, reply.error["status"]) == (400, "INVALID_ARGUMENT")


async def test_numbers_of_absurd_length(emu: Any) -> None:
    digits = "9" * 5000
    assert (await emu.get(f"/v1/models?pageSize={digits}")).status == 400
    token = base64.urlsafe_b64encode(b"offset:-2").decode()
    assert (await emu.get(f"/v1/models?pageToken={token}")).status == 400
    assert (await emu.generate(f"[[fault:internal*{digits}]]")).status == 400
