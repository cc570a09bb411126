"""Pictures that come in and are none, or too much: S44, S46 to S50, S53, S54.

The native face has a status for each. The two others answer 400 to a picture that cannot be used,
with the code `invalid_request`.
"""

import base64
import io
import struct
import tracemalloc
import zlib
from typing import Any

import aiohttp
import pytest
from PIL import Image
from tests.imaging.pictures import chunk, encoded, natural, png_header, png_with
from tests.living import files_in
from tests.server.abuse.conftest import PRO, Answer, Target
from tests.server.counting import called

PLAIN = encoded(natural(64, 64), "png")
BOMB = zlib.compress(bytes(128 << 20), 9)

NO_PICTURE = {
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
    "html": b"<!doctype html><script>alert(1)</script>",
    "xml": b"<?xml version='1.0'?><!DOCTYPE x [<!ENTITY a SYSTEM 'file:///etc/passwd'>]><x>&a;</x>",
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
    "script": b"#!/bin/sh\nid\n",
    "eps": b"%!PS-Adobe-3.0 EPSF-3.0\n",
    "gif": b"GIF89a\x01\x00\x01\x00\x00\x00\x00;",
    "tiff": b"II*\x00\x08\x00\x00\x00" + bytes(40),
    "big tiff": b"MM\x00+\x00\x08" + bytes(40),
    "psd": b"8BPS\x00\x01" + bytes(40),
    "fits": b"SIMPLE  =                    T" + bytes(40),
    "ico": b"\x00\x00\x01\x00\x01\x00" + bytes(40),
    "bmp": b"BM" + bytes(60),
    "heic": b"\x00\x00\x00\x18ftypheic" + bytes(40),
    "avif": b"\x00\x00\x00\x18ftypavif" + bytes(40),
    "jxl": b"\xff\x0a" + bytes(40),
    "jp2": b"\x00\x00\x00\x0cjP  \r\n\x87\n" + bytes(40),
    "nothing": b"\x00",
}
TOO_MUCH = {
    "400 megapixels": png_header(20_000, 20_000) + bytes(100),
    "the largest sides": png_header(65_535, 65_535) + bytes(100),
    "a long line": png_header(50_000_000, 1) + bytes(100),
    "no side": png_header(0, 0) + bytes(100),
    "frames": png_with(PLAIN, b"acTL", struct.pack(">II", 10_000, 0)),
    "profile": png_with(PLAIN, b"iCCP", b"a\x00\x00" + BOMB),
    "text": png_with(PLAIN, b"zTXt", b"a\x00\x00" + BOMB),
    "other text": png_with(PLAIN, b"iTXt", b"a\x00\x01\x00\x00\x00" + BOMB),
    "cut": PLAIN[: len(PLAIN) // 2],
    "a flipped byte": PLAIN[:200] + bytes([PLAIN[200] ^ 1]) + PLAIN[201:],
    "a head alone": PLAIN[:8],
}
# what inflates without a limit, or decodes, as it is named by zlib and Pillow
DECODING = {"decompress", "ImageFile.load", "Image.tobytes"}
FACES = ("native", "plan", "gemini", "chat", "edits")


async def give(house: Target, face: str, data: bytes) -> Answer:
    """The picture to a face, said to be a PNG."""
    coded = base64.b64encode(data).decode()
    url = {"url": f"data:image/png;base64,{coded}"}
    bodies: dict[str, tuple[str, Any]] = {
        "native": (
            "/api/v1/jobs",
            {"prompt": "a lake", "size": "1K", "references": [{"data": coded}]},
        ),
        "plan": ("/api/v1/plans", {"prompt": "a lake", "base": {"data": coded}}),
        "gemini": (
            f"/v1beta/models/{PRO}:generateContent",
            {"contents": [{"parts": [{"inlineData": blob(coded)}, {"text": "a lake"}]}]},
        ),
        "chat": (
            "/openai/v1/chat/completions",
            {
                "model": PRO,
                "messages": [
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "a lake"},
                            {"type": "image_url", "image_url": url},
                        ],
                    }
                ],
            },
        ),
    }
    if face == "edits":
        form = aiohttp.FormData({"prompt": "a lake", "model": PRO})
        form.add_field("image", data, filename="../../a.png", content_type="image/png")
        return await house.send("anna", "POST", "/openai/v1/images/edits", data=form)
    path, body = bodies[face]
    return await house.send("anna", "POST", path, json=body)


def blob(coded: str) -> dict[str, str]:
    return {"mimeType": "image/png", "data": coded}


@pytest.mark.parametrize("face", FACES)
async def test_s46_s48_what_is_no_picture_reaches_no_decoder(house: Target, face: str) -> None:
    """S46, S48: the first bytes decide, whatever name and type say."""
    before = house.gateway.client.settings.home
    for name, data in NO_PICTURE.items():
        answer = await give(house, face, data)
        expected = 415 if face in ("native", "plan") else 400
        assert answer.status == expected, (name, answer.body)
        assert "file:///" not in answer.body.decode()
        assert "root:" not in answer.body.decode()
    assert await house.bill() == []
    assert not [path for path in files_in(before) if path.suffix in (".svg", ".html", ".pdf")]


@pytest.mark.parametrize("face", FACES)
async def test_s47_s49_s50_bombs_are_seen_from_their_heads(house: Target, face: str) -> None:
    """S47, S49, S50: nothing is decoded to be refused, and of a bomb only a little inflated."""
    await give(house, face, PLAIN[:100])  # what is imported once is no cost of theirs
    for name, data in TOO_MUCH.items():
        tracemalloc.start()
        try:
            with called() as names:
                answer = await give(house, face, data)
            grown = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert answer.status == 400, (name, answer.body)
        assert answer.code == "invalid_request", name
        assert not names & DECODING, name
        assert grown < len(BOMB) + (32 << 20), name  # what is inflated is 128 MiB
    assert await house.bill() == []


def test_what_decodes_is_known_by_its_name() -> None:
    """Or the test above could not fail."""
    picture = Image.open(io.BytesIO(PLAIN))
    with called() as names:
        picture.load()
        zlib.decompress(zlib.compress(b"a"))
        picture.tobytes()
    assert names >= DECODING


async def test_s54_what_breaks_a_decoder_breaks_no_service(house: Target) -> None:
    """S54: whole by its structure, and no picture to whoever inflates it."""
    head = png_header(64, 64)
    end = chunk(b"IEND", b"")
    broken = [
        head + chunk(b"IDAT", b"\x78\x9c" + bytes(range(256)) * 4) + end,
        head + chunk(b"IDAT", zlib.compress(b"\xff" * 10)) + end,
        head + chunk(b"IDAT", zlib.compress(b"\x07" * (64 * 193))) + end,
    ]
    for data in broken:
        base = {"data": base64.b64encode(data).decode()}
        body = {"prompt": "a boat", "size": "1K", "base": base, "region": [0, 0, 32, 32]}
        answer = await house.send(
            "anna", "POST", "/api/v1/jobs", json=body, headers={"prefer": "wait=60"}
        )
        assert (answer.status, answer.code) == (422, "finish_failed"), answer.body
    assert (await house.draw("anna"))["id"]


async def test_s53_a_tail_is_not_served(house: Target) -> None:
    """S53: what an upstream hangs behind a picture is served as an image or not at all."""
    image = await house.draw("anna", "a lake [[fault:image:trailing]]")
    answer = await house.send("anna", "GET", f"/pictures/{image['id']}/thumbnail")
    assert answer.status == 200
    assert answer.headers["content-type"].startswith("image/")
    assert answer.headers["x-content-type-options"] == "nosniff"


URLS = (
    "http://169.254.169.254/latest/meta-data/",
    "file:///etc/passwd",
    "https://evil.test/a.png",
    "gs://bucket/a.png",
)


@pytest.mark.parametrize("url", URLS)
async def test_s44_addresses_of_pictures_are_not_fetched(house: Target, url: str) -> None:
    """S34, S42, S44: no face opens an address that a request names."""
    asked: tuple[tuple[str, Any], ...] = (
        (
            f"/v1beta/models/{PRO}:generateContent",
            {"contents": [{"parts": [{"fileData": {"fileUri": url}}, {"text": "a"}]}]},
        ),
        (
            "/openai/v1/chat/completions",
            {
                "model": PRO,
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": url}}],
                    }
                ],
            },
        ),
        ("/openai/v1/images/edits", {"prompt": "a", "images": [{"image_url": url}]}),
        (
            "/v1beta/interactions",
            {"model": PRO, "input": [{"type": "image", "uri": url}, {"type": "text", "text": "a"}]},
        ),
        ("/api/v1/jobs", {"prompt": "a", "references": [{"url": url}]}),
        ("/api/v1/jobs", {"prompt": "a", "base": {"image": url}}),
    )
    for path, body in asked:
        answer = await house.send("anna", "POST", path, json=body)
        assert answer.status == 400, (path, answer.body)
        if "/api/" not in path and "interactions" not in path:
            assert answer.code == "url_inputs_disabled", path
    assert await house.bill() == []
