"""The proxy that one writes in an afternoon, to compare with: parse, decode, write, encode again.

python -m bench.naive UPSTREAM FOLDER     serves generateContent; prints its port
"""

import base64
import json
import socket
import sys
import uuid
from pathlib import Path
from typing import Any

import aiohttp
import uvicorn
from fastapi import FastAPI, Request
from starlette.responses import JSONResponse, Response


def build(upstream: str, folder: Path) -> FastAPI:
    """The whole of it."""
    app = FastAPI()
    sessions: list[aiohttp.ClientSession] = []

    @app.post("/v1/models/{model}:generateContent")
    async def generate(model: str, request: Request) -> Response:
        if not sessions:
            sessions.append(aiohttp.ClientSession())
        body = await request.json()
        url = f"{upstream}/v1/models/{model}:generateContent"
        async with sessions[0].post(url, json=body) as response:
            answer: dict[str, Any] = json.loads(await response.read())
        for candidate in answer.get("candidates", []):
            for part in candidate["content"]["parts"]:
                inline = part.get("inlineData")
                if inline:
                    data = base64.b64decode(inline["data"])
                    (folder / f"{uuid.uuid4().hex}.jpg").write_bytes(data)
                    inline["data"] = base64.b64encode(data).decode()
        return JSONResponse(answer)

    return app


def main() -> None:
    """Serve on a free port of this machine."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    print(listening.getsockname()[1], flush=True)
    server = uvicorn.Server(
        uvicorn.Config(build(sys.argv[1], Path(sys.argv[2])), log_level="error")
    )
    server.run(sockets=[listening])


if __name__ == "__main__":
    main()
