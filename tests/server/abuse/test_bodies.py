"""Bodies that can be read in two ways, or that reach too far: S24, S55, S57, S62 to S64, S66."""

import io
import json
from typing import Any

import pytest
from tests.server.abuse.conftest import PRO, Answer, Target
from tests.server.counting import lines_of

GENERATE = f"/v1beta/models/{PRO}:generateContent"
JSON = {"content-type": "application/json"}
# of each face that reads JSON: where, and what surrounds a value
PLACES = {
    "gemini": (GENERATE, b'{"contents":[{"parts":[{"text":"a"}]}],"x":%s}'),
    "count": (
        f"/v1/models/{PRO}:countTokens",
        b'{"contents":[{"parts":[{"text":"a"}]}],"x":%s}',
    ),
    "interactions": (
        "/v1beta/interactions",
        b'{"model":"gemini-3-pro-image","input":"a","x":%s}',
    ),
    "images": ("/openai/v1/images/generations", b'{"prompt":"a","x":%s}'),
    "edits": ("/openai/v1/images/edits", b'{"prompt":"a","x":%s}'),
    "chat": (
        "/openai/v1/chat/completions",
        b'{"messages":[{"role":"user","content":"a"}],"x":%s}',
    ),
    "jobs": ("/api/v1/jobs", b'{"prompt":"a","x":%s}'),
    "plans": ("/api/v1/plans", b'{"prompt":"a","x":%s}'),
    "prompts": ("/api/v1/prompts/product-shot/render", b'{"values":%s}'),
    "sessions": ("/api/v1/sessions", b'{"prompt":"a","x":%s}'),
    "exports": (f"/api/v1/images/{'0' * 32}/exports", b'{"x":%s}'),
    "keys": ("/api/v1/keys", b'{"name":"k","x":%s}'),
}
ODD = {
    "deep": b"[" * 100_000 + b"]" * 100_000,
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a long number": b"9" * (7 << 20),
    "half a pair": b'"\\ud800"',
    "no UTF-8": b'"\xff\xfe"',
    "NaN": b"NaN",
    "Infinity": b"-Infinity",
    "a name twice": b'{"a":1,"a":2}',
    "an end too many": b"1}",
    "no end": b'"',
}


@pytest.mark.parametrize("place", PLACES)
async def test_s55_json_of_two_meanings_is_refused(house: Target, place: str) -> None:
    """S55, on each face: 400, with little work, and nothing is done."""
    path, around = PLACES[place]
    for name, odd in ODD.items():
        body = io.BytesIO(around.replace(b"%s", odd))
        with lines_of("heliograph.server") as lines:
            answer = await house.send("anna", "POST", path, data=body, headers=JSON)
        assert answer.status == 400, (name, answer.status, answer.body[:300])
        assert lines.count < 10_000, name
    assert await house.bill() == []
    assert house.log.getvalue().count("Traceback") == 0


@pytest.mark.parametrize("place", PLACES)
async def test_s57_compressed_bodies_are_refused(house: Target, place: str) -> None:
    path, around = PLACES[place]
    for coding in ("gzip", "deflate", "br", "zstd", "gzip, gzip", "GZIP"):
        headers = {**JSON, "content-encoding": coding}
        body = around.replace(b"%s", b"1")
        async with house.http.post(
            house.url + path,
            data=body,
            headers={**headers, "authorization": f"Bearer {house.keys['anna']}"},
            skip_auto_headers=["content-encoding"],
        ) as answer:
            assert answer.status == 415, (coding, await answer.read())
    assert await house.bill() == []


REACHING = (
    "api_base",
    "base_url",
    "api_key",
    "extra_headers",
    "extra_query",
    "headers",
    "x-goog-api-key",
    "x-goog-user-project",
    "X-Goog-Api-Client",
    "proxy",
    "project",
)


@pytest.mark.parametrize("place", ["gemini", "interactions", "images", "chat", "edits", "jobs"])
async def test_s62_nothing_in_a_request_says_where_calls_go(house: Target, place: str) -> None:
    """S62: unknown to each face; calls leave for configured hosts alone."""
    path, around = PLACES[place]
    for name in REACHING:
        body = json.loads(around.replace(b"%s", b'"http://127.0.0.1:1/"').replace(b'"x"', b'"y"'))
        body[name] = body.pop("y")
        answer = await house.send("anna", "POST", path, json=body)
        assert answer.status == 400, (name, answer.body)
    assert await house.bill() == []


async def test_s62_headers_for_an_upstream_stay_here(house: Target) -> None:
    """S62, S99: what a client's headers say to Google or to the emulator is not passed on."""
    headers = {
        "x-goog-user-project": "evil",
        "x-goog-api-client": "evil",
        "x-emu-fault": "status:503",
        "x-forwarded-host": "evil.test",
        "x-server-timeout": "1",
    }
    body = {"contents": [{"parts": [{"text": "a red lake"}]}]}
    for path, sent in (
        (GENERATE, body),
        ("/openai/v1/images/generations", {"prompt": "a blue lake", "size": "1K"}),
        ("/api/v1/jobs", {"prompt": "a green lake", "size": "1K"}),
    ):
        answer = await house.send(
            "anna", "POST", path, json=sent, headers={**headers, "prefer": "wait=30"}
        )
        assert answer.status == 200, answer.body
        assert "evil" not in str(answer.headers)
    lines = await house.bill()
    assert len(lines) == 3
    assert {line["project"] for line in lines} == {house.project}


INJECTED = "a\r\nx-evil: 1\r\n\r\nGET /evil HTTP/1.1"


async def test_s63_line_ends_stay_inside_of_texts(house: Target) -> None:
    """S63: in model, prompt, names and header values; no header of an answer is a client's."""

    def plain(answer: Answer, expected: int) -> None:
        assert answer.status == expected, answer.body
        assert "x-evil" not in answer.headers
        assert not [value for value in answer.headers.values() if "evil" in value], answer.headers

    for path, body, expected in (
        (GENERATE, {"contents": [{"parts": [{"text": INJECTED}]}]}, 200),
        ("/openai/v1/images/generations", {"prompt": INJECTED, "size": "1K"}, 200),
        ("/openai/v1/images/generations", {"prompt": "a", "model": INJECTED}, 404),
        ("/openai/v1/images/generations", {"prompt": "a", "user": INJECTED, "size": "1K"}, 200),
        ("/api/v1/jobs", {"prompt": "a", "model": INJECTED}, 400),
        ("/api/v1/jobs", {"prompt": "a", "tags": [INJECTED]}, 400),
        ("/api/v1/keys", {"name": INJECTED}, 400),
    ):
        headers = {"prefer": "wait=30"}
        plain(await house.send("anna", "POST", path, json=body, headers=headers), expected)
    plain(await house.send("root", "POST", "/api/v1/users", json={"name": INJECTED}), 400)
    start = {
        "x-goog-upload-protocol": "resumable",
        "x-goog-upload-command": "start",
        "x-goog-upload-header-content-length": "4",
        "x-goog-upload-header-content-type": "image/png",
    }
    named = {"file": {"displayName": INJECTED}}
    plain(await house.send("anna", "POST", "/upload/v1beta/files", json=named, headers=start), 200)
    assert "GET /evil" not in house.log.getvalue()


@pytest.mark.parametrize(
    "model",
    [
        "../x:generateContent?key=",
        "..%2fx",
        f"{PRO}%2f..%2fx",
        f"{PRO}%3fkey=a",
        f"{PRO}%23",
        f"{PRO}@latest",
        f"tunedModels%2f{PRO}",
        f"http:%2f%2fevil.test%2f{PRO}",
    ],
)
async def test_s64_a_model_is_no_part_of_an_address(house: Target, model: str) -> None:
    """S64: whatever stands in its place, no call leaves."""
    body = {"contents": [{"parts": [{"text": "a"}]}]}
    for prefix in ("/v1/models/", "/v1beta/models/", "/gemini/v1beta/models/"):
        answer = await house.send("anna", "POST", f"{prefix}{model}:generateContent", json=body)
        assert answer.status in (400, 404), answer.body
    for path, sent in (
        ("/openai/v1/images/generations", {"prompt": "a", "model": model}),
        ("/api/v1/jobs", {"prompt": "a", "model": model}),
    ):
        answer = await house.send("anna", "POST", path, json=sent)
        assert answer.status in (400, 404), answer.body
    assert await house.bill() == []


async def test_s64_the_path_of_a_call_is_that_of_its_template(house: Target) -> None:
    await house.draw("anna")
    (line,) = await house.bill()
    assert line["model"] == PRO


@pytest.mark.parametrize("value", [-1, 0, 1e308, True, "1", 2**63, 1.5, [1], {"a": 1}, 11])
async def test_s24_numbers_out_of_range(house: Target, value: Any) -> None:
    """S24 on the compatible faces (NaN and Infinity are S55 there)."""
    images = "/openai/v1/images/generations"

    def config(**fields: Any) -> dict[str, Any]:
        return {"contents": [{"parts": [{"text": "a"}]}], "generationConfig": fields}

    asked: list[tuple[str, Any]] = [
        (images, {"prompt": "a", "n": value}),
        (images, {"prompt": "a", "size": value}),
        (images, {"prompt": "a", "output_compression": value if value not in (0, 11) else 101}),
        (GENERATE, config(imageConfig={"imageSize": value})),
    ]
    if value not in ("1", 0, -1):  # proto3 JSON takes a text for a number, and 0 for no value
        asked.append((GENERATE, config(candidateCount=value)))
        asked.append((GENERATE, config(maxOutputTokens=10**9 if value == 11 else value)))
    for path, body in asked:
        answer = await house.send("anna", "POST", path, json=body)
        assert answer.status == 400, (body, answer.body)
    assert await house.bill() == []


async def test_s66_searches_are_texts(house: Target) -> None:
    """S66: no pattern, no page without end, no column of ours to sort by."""
    for n in range(3):
        await house.draw("anna", f"a lake {n} %")
    found = await house.send("anna", "GET", "/api/v1/images?q=lake")
    assert len(found.json["items"]) == 3
    for query in ("%25%25%25%25", "(a%2B)%2B%24", "*" * 200, '"', "%22a%22%20OR%20%22b", "_", "a*"):
        answer = await house.send("anna", "GET", f"/api/v1/images?q={query}")
        assert answer.status == 200, (query, answer.body)
        assert answer.json["items"] == [], "as a pattern it would fit"
    assert (await house.send("anna", "GET", "/api/v1/images?limit=1000000000")).status == 400
    for wrong in ("sort=digest", "order=owner", "limit=-1", "limit=0", "cursor=%25", "cursor=AAAA"):
        assert (await house.send("anna", "GET", f"/api/v1/images?{wrong}")).status == 400, wrong
    rest = await house.send("anna", "GET", "/v1/models?pageSize=1000000000")
    assert len(rest.json["models"]) <= 200
