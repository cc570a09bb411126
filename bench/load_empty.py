"""The least that a Starlette route can cost, on the same server with the same options as ours.

python -m bench.load_empty     serves `GET /`; prints its port
"""

import socket
import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from heliograph.server.hardening import serving_options


async def nothing(_: Request) -> Response:
    """An empty answer."""
    return JSONResponse({})


def main() -> None:
    """Serve on a free port of this machine."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    sys.stdout.write(f"{listening.getsockname()[1]}\n")
    sys.stdout.flush()
    app = Starlette(routes=[Route("/", nothing)])
    config = uvicorn.Config(app, log_level="error", lifespan="off", **serving_options())
    uvicorn.Server(config).run(sockets=[listening])


if __name__ == "__main__":
    main()
