"""Models, token counts and files with the official SDK."""

import asyncio
import hashlib
import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from PIL import Image

# What google-genai does to aiohttp, which aiohttp discourages; not ours to change.
pytestmark = [
    pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning"),
    pytest.mark.filterwarnings("ignore:Sending a large body:ResourceWarning"),
]

PRO = "gemini-3-pro-image"
LIVE = [
    "models/gemini-3-pro-image",
    "models/gemini-nano-banana-2.1",
    "models/gemini-3.1-flash-lite-image",
]


def big_picture(length: int) -> bytes:
    """A JPEG that opens, padded behind its end to any length."""
    buffer = io.BytesIO()
    Image.new("RGB", (1600, 900), (30, 60, 120)).save(buffer, "JPEG")
    data = buffer.getvalue()
    return data + bytes(length - len(data))


def test_models(client: genai.Client) -> None:
    assert [model.name for model in client.models.list()] == LIVE
    paged = client.models.list(config=types.ListModelsConfig(page_size=2))
    assert [model.name for model in paged] == LIVE
    model = client.models.get(model=PRO)
    assert (model.display_name, model.input_token_limit) == ("Nano Banana Pro", 131072)
    assert "generateContent" in (model.supported_actions or [])
    with pytest.raises(errors.ClientError) as caught:
        client.models.get(model="gemini-2.5-flash-image")
    assert caught.value.code == 404


async def test_models_async(client: genai.Client) -> None:
    assert [model.name async for model in await client.aio.models.list()] == LIVE
    await client.aio.aclose()


def test_count_tokens(client: genai.Client) -> None:
    counted = client.models.count_tokens(model=PRO, contents="twelve chars")
    assert counted.total_tokens == 3
    mixed: Any = ["abcd", Image.new("RGB", (8, 8))]
    assert client.models.count_tokens(model=PRO, contents=mixed).total_tokens == 561


def test_a_file_of_30_mb(client: genai.Client, tmp_path: Path) -> None:
    data = big_picture(30_000_000)
    path = tmp_path / "big.jpg"
    path.write_bytes(data)
    stored = client.files.upload(
        file=path, config=types.UploadFileConfig(display_name="dn", mime_type="image/jpeg")
    )
    assert (stored.size_bytes, stored.display_name) == (30_000_000, "dn")
    assert stored.state == types.FileState.ACTIVE
    assert stored.source == types.FileSource.UPLOADED
    assert stored.create_time is not None
    assert stored.expiration_time is not None
    assert stored.expiration_time - stored.create_time == timedelta(hours=48)
    assert stored.name is not None
    same = client.files.get(name=stored.name)
    assert same.sha256_hash == stored.sha256_hash
    assert stored.name in [file.name for file in client.files.list()]

    mixed: Any = [stored, "make it night"]
    response = client.models.generate_content(model=PRO, contents=mixed)
    (picture,) = [part.inline_data for part in response.parts or [] if part.inline_data]
    assert Image.open(io.BytesIO(picture.data or b"")).size == (1376, 768)

    client.files.delete(name=stored.name)
    with pytest.raises(errors.ClientError) as gone:
        client.files.get(name=stored.name)
    assert (gone.value.code, gone.value.status) == (403, "PERMISSION_DENIED")
    assert stored.name not in [file.name for file in client.files.list()]


def test_an_upload_cannot_be_downloaded(client: genai.Client) -> None:
    stored = client.files.upload(
        file=io.BytesIO(b"x" * 10), config=types.UploadFileConfig(mime_type="image/png")
    )
    assert stored.name is not None
    assert stored.download_uri is None
    with pytest.raises(errors.ClientError) as refused:
        client.files.download(file=stored.name)
    assert (refused.value.code, refused.value.status) == (400, "INVALID_ARGUMENT")
    # Given the File itself, the SDK does not even ask: there is no downloadUri.
    with pytest.raises(ValueError, match="uploaded files can't be downloaded"):
        client.files.download(file=stored)


async def test_a_file_async(client: genai.Client) -> None:
    data = big_picture(9_000_000)
    stored = await client.aio.files.upload(
        file=io.BytesIO(data), config=types.UploadFileConfig(mime_type="image/jpeg")
    )
    assert stored.size_bytes == 9_000_000
    assert stored.name is not None
    names = [file.name async for file in await client.aio.files.list()]
    assert stored.name in names
    await client.aio.files.delete(name=stored.name)
    await client.aio.aclose()


def test_the_bytes_arrive_whole(client: genai.Client) -> None:
    data = big_picture(8 * 1024 * 1024 + 1)
    stored = client.files.upload(
        file=io.BytesIO(data), config=types.UploadFileConfig(mime_type="image/jpeg")
    )
    digest = hashlib.sha256(data).hexdigest()
    assert stored.sha256_hash is not None
    # Google writes the hex digest in base64.
    import base64

    assert base64.b64decode(stored.sha256_hash).decode() == digest


def test_files_of_another_project(clients: Callable[..., genai.Client]) -> None:
    stored = clients("emu-project-one").files.upload(
        file=io.BytesIO(b"x" * 10), config=types.UploadFileConfig(mime_type="image/png")
    )
    assert stored.name is not None
    with pytest.raises(errors.ClientError) as caught:
        clients("emu-project-two").files.get(name=stored.name)
    assert caught.value.code == 403


def test_many_calls_at_once_keep_apart(client: genai.Client) -> None:
    async def all_of_them() -> set[str | None]:
        replies = await asyncio.gather(
            *(client.aio.models.generate_content(model=PRO, contents=f"n {n}") for n in range(12))
        )
        await client.aio.aclose()
        return {reply.response_id for reply in replies}

    assert len(asyncio.run(all_of_them())) == 12
