"""`heliograph serve`: the gateway in the foreground.

Invariant: the first admin's key is shown once, on standard output, and written nowhere; logs go to
standard error, as lines of JSON.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from heliograph.cli.ask import Flag
from heliograph.cli.screen import json_text, note, print_lines, printable
from heliograph.planning import DEFAULT_MODEL
from heliograph.server.app import build
from heliograph.server.run import Order, Started, Voice, run

# not HELIOGRAPH_…: such a variable would be taken for a setting
VARIABLE = "HELIO_KEY"


def serve(
    *,
    host: str | None = None,
    port: int | None = None,
    simulate: bool | None = None,
    json: Annotated[Flag, Parameter()] = False,
    home: Path | None = None,
) -> int:
    """Run the gateway until Ctrl-C or SIGTERM: Gemini, OpenAI and native API on one port.

    Calls under way are finished before it ends, for up to `server_drain` seconds. All settings
    whose names begin with `server_` are for it; see `heliograph config get`.

    Args:
        host: Address to listen on. Default: `server_host`, which is this machine alone. Others
            need a user with a key, and TLS in front.
        port: Its port; 0 takes a free one. Default: `server_port`, 8700.
        simulate: Use the local emulator, or with --no-simulate insist on a key. Default: the
            emulator when there is no key.
        json: Print one line of JSON instead of words when it listens.
        home: Folder of the library of originals.
    """

    def started(what: Started) -> None:
        if json:
            print_json_line(facts(what))
            return
        print_lines(lines(what))

    order = Order(host=host, port=port, home=home, simulate=simulate)
    return run(order, Voice(started=started, say=note), build)


def facts(what: Started) -> Mapping[str, Any]:
    """What is told a program."""
    return {
        "url": what.url,
        "gemini": what.url,
        "openai": f"{what.url}/openai/v1",
        "native": f"{what.url}/api/v1",
        "pid": os.getpid(),
        "home": str(what.home),
        "simulated": what.simulated,
        "admin_key": what.admin_key,
    }


def print_json_line(what: Mapping[str, Any]) -> None:
    """One line on standard output, at once: whoever started us waits for it."""
    print(printable(json_text(what)), flush=True)


def lines(what: Started) -> Iterator[str]:
    """What a person is told, ready to be copied."""
    yield f"Heliograph gateway at {what.url}, library in {what.home}"
    if what.keyless:
        yield "There is no upstream key, so the local emulator is used: every picture is simulated"
        yield "and costs nothing. For real ones set GEMINI_API_KEY and start again."
    elif what.simulated:
        yield "The emulator is used: every picture is simulated and costs nothing."
    if what.others:
        numbers = ", ".join(str(number) for number in what.others)
        yield f"Other processes use this library too ({numbers}); their calls are left alone."
    yield ""
    if what.admin_key:
        yield "The key of the first admin; it is shown this once and kept nowhere:"
        yield f"  export {VARIABLE}={what.admin_key}"
    else:
        yield f"A key (heliograph keys create NAME): export {VARIABLE}=…"
    yield ""
    yield "google-genai:"
    yield f'  client = genai.Client(api_key=os.environ["{VARIABLE}"],'
    yield f'                        http_options={{"base_url": "{what.url}"}})'
    yield "OpenAI:"
    yield f'  client = openai.OpenAI(api_key=os.environ["{VARIABLE}"],'
    yield f'                         base_url="{what.url}/openai/v1")'
    yield "curl:"
    yield f"  curl {what.url}/openai/v1/images/generations \\"
    yield f'    -H "Authorization: Bearer ${VARIABLE}" \\'
    yield "    -H 'Content-Type: application/json' \\"
    yield f'    -d \'{{"model": "{DEFAULT_MODEL}", "prompt": "A lighthouse", "size": "4K"}}\''
    yield ""
    yield "Stop it with Ctrl-C; calls under way are finished first."
