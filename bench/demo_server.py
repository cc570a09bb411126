"""Starts the gateway on a free port with a new library and the emulator, makes one call with each
SDK and one with curl, prints what each cost, and stops it: `make demo-server`.

Invariant: no key, no cost, nothing left behind; the SDKs are used as they are.
"""

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from google import genai
from google.genai import types
from openai import OpenAI

MODEL = "gemini-3-pro-image"
PROMPT = "A lighthouse on a cliff at golden hour"
STOP_SECONDS = 30


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What one call brought."""

    by: str
    size: int  # bytes of the picture
    cost: str  # dollars
    pixels: str


def with_google(url: str, key: str) -> Answer:
    """google-genai: only the base URL is another one."""
    client = genai.Client(api_key=key, http_options=types.HttpOptions(base_url=url))
    answer = client.models.generate_content(
        model=MODEL,
        contents=PROMPT,
        config=types.GenerateContentConfig(
            response_modalities=["IMAGE"], image_config=types.ImageConfig(image_size="4K")
        ),
    )
    pictures = [part.inline_data.data for part in answer.parts or () if part.inline_data]
    told = answer.sdk_http_response.headers if answer.sdk_http_response else None
    headers = {name.lower(): value for name, value in (told or {}).items()}
    return _answer("google-genai", pictures[-1] or b"", headers)


def with_openai(url: str, key: str) -> Answer:
    """OpenAI: likewise."""
    client = OpenAI(api_key=key, base_url=url)
    raw = client.images.with_raw_response.generate(model=MODEL, prompt=PROMPT, size="2048x2048")
    made = raw.parse()
    data = base64.b64decode((made.data or [])[0].b64_json or "")
    return _answer("openai", data, dict(raw.headers))


def with_curl(url: str, key: str) -> Answer:
    """curl as in the documentation, or the same request without it."""
    body = json.dumps({"model": MODEL, "prompt": PROMPT, "size": "1024x1024"})
    sent = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    curl = shutil.which("curl")
    if curl is None:
        request = urllib.request.Request(url, body.encode(), sent)  # noqa: S310  our own address
        with urllib.request.urlopen(request, timeout=60) as answer:  # noqa: S310
            text, headers = answer.read(), {k.lower(): v for k, v in answer.getheaders()}
    else:
        # the key goes in by standard input: arguments can be read by everybody
        given = "".join(f'header = "{name}: {value}"\n' for name, value in sent.items())
        command = [curl, "--silent", "--fail-with-body", "--include", "--config", "-", url]
        said = subprocess.run(
            [*command, "--data", body], input=given.encode(), capture_output=True, check=True
        ).stdout
        head, _, text = said.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").splitlines()[1:]
        pairs = (line.partition(":") for line in lines)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
    made: dict[str, Any] = json.loads(text)
    return _answer("curl", base64.b64decode(made["data"][0]["b64_json"]), headers)


def _answer(by: str, picture: bytes, headers: dict[str, str]) -> Answer:
    return Answer(
        by=by,
        size=len(picture),
        cost=headers.get("x-heliograph-cost-usd", "unknown"),
        pixels=headers.get("x-heliograph-pixels", "unknown"),
    )


def calls(said: dict[str, Any]) -> Iterator[Answer]:
    """One call with each client."""
    key = said["admin_key"]
    yield with_google(said["gemini"], key)
    yield with_openai(said["openai"], key)
    yield with_curl(f"{said['openai']}/images/generations", key)


def main() -> int:
    """Run the demonstration; the exit code is that of the gateway."""
    with tempfile.TemporaryDirectory(prefix="heliograph-demo-") as home:
        mine = {k: v for k, v in os.environ.items() if not k.startswith(("HELIOGRAPH_", "GOOGLE_"))}
        process = subprocess.Popen(
            [sys.executable, "-m", "heliograph", "serve", "--simulate", "--port", "0", "--json"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env={**mine, "HELIOGRAPH_HOME": home},
        )
        if process.stdout is None:
            raise RuntimeError("the gateway has no output")
        try:
            said = json.loads(process.stdout.readline())
            _say(f"Gateway at {said['url']}; every picture is simulated and costs nothing.")
            for answer in calls(said):
                _say(
                    f"{answer.by:<13} {answer.pixels:>10} px  {answer.size / 1e6:5.1f} MB  "
                    f"${answer.cost} (simulated)"
                )
        finally:
            process.send_signal(signal.SIGTERM)
            process.communicate(timeout=STOP_SECONDS)
        _say(f"Stopped with exit code {process.returncode}.")
        return process.returncode


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
