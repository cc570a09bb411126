"""F34 and F51: what is kept of an answer, and what an answer points to.

Each is a coroutine function of a `Stage`. Invariant: the history is built only from what the
library keeps, and sent over a bare socket, so that nothing of the client can mend it on the way.
"""

import asyncio
import base64
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from heliograph.chaos.faces import GEMINI, question
from heliograph.chaos.stage import Stage
from heliograph.chaos.working import Place
from heliograph.storage import blob_key
from heliograph.types import Record

TURNS = 10
MODEL, OTHER = "gemini-3-pro-image", "gemini-nano-banana-2.1"
LOST = "reasoning context"  # in the warning of a turn whose history is told, not carried


async def ten_turns(stage: Stage) -> None:
    """Ten turns of a session, then another model steps in; what is kept of them, said over a bare
    socket, is accepted, and refused when one signature is changed or left out.
    """
    contents: list[dict[str, Any]] = []
    for number in range(TURNS):
        # every turn goes back as it came
        place = Place() if number else None
        ended = await stage.ask(f"A fox in turn {number}", {"context": "all"}, place=place)
        if ended.record is None:
            stage.complaints.append(f"turn {number} left no record: {ended.words[:200]}")
            return
        record = await stage.client.image(ended.record)
        turn = await asyncio.to_thread(_turn, record, stage.ground.home / "originals")
        contents += [{"role": "user", "parts": [{"text": record.prompt}]}, turn]
        if any(LOST in warning for warning in ended.warnings):
            stage.complaints.append(f"turn {number} lost the context: {ended.warnings}")
    await _another_steps_in(stage)
    signed = [part for turn in contents for part in turn["parts"] if "thoughtSignature" in part]
    if len(signed) < TURNS:
        stage.complaints.append(f"only {len(signed)} signatures were kept in {TURNS} turns")
        return
    contents.append({"role": "user", "parts": [{"text": "Now by night"}]})
    said = {"as kept": await _say(stage, contents)}
    last = signed[-1]
    last["thoughtSignature"] = _with_one_changed(last["thoughtSignature"])
    said["one character changed"] = await _say(stage, contents)
    del last["thoughtSignature"]
    said["left out"] = await _say(stage, contents)
    stage.facts |= {"statuses": said}
    if said != {"as kept": 200, "one character changed": 400, "left out": 400}:
        stage.complaints.append(f"the emulator answered {said}")


async def ten_turns_of_contents(stage: Stage) -> None:
    """Ten turns of a talk that its caller keeps, as google-genai does: every answer goes back as it
    came, and is refused when one signature is changed or left out.
    """
    contents: list[dict[str, Any]] = []
    for number in range(TURNS):
        answer = await _turn_through(stage, f"A fox in turn {number}", contents)
        if answer is None:
            stage.complaints.append(f"turn {number} was not answered")
            return
        contents.append(answer)
    signed = [part for turn in contents for part in turn["parts"] if "thoughtSignature" in part]
    if len(signed) < TURNS:
        stage.complaints.append(f"only {len(signed)} signatures came in {TURNS} turns")
        return
    whole = signed[-1]["thoughtSignature"]
    signed[-1]["thoughtSignature"] = _with_one_changed(whole)
    changed = await _turn_through(stage, "A fox with another signature", list(contents))
    del signed[-1]["thoughtSignature"]
    left_out = await _turn_through(stage, "A fox without a signature", list(contents))
    if changed is not None or left_out is not None:
        stage.complaints.append("a history with a spoilt signature was answered")


async def _turn_through(
    stage: Stage, prompt: str, contents: list[dict[str, Any]]
) -> dict[str, Any] | None:
    """The model's turn, when it drew one; the caller's own is added to the contents."""
    contents.append({"role": "user", "parts": [{"text": prompt}]})
    wanted = question(GEMINI, prompt, {}, stage.ground.key)
    whole = replace(wanted, document={**wanted.document, "contents": contents})
    answer = await stage.send(whole, prompt)
    if answer is None or answer.status != 200:
        return None
    found: dict[str, Any] = answer.document()["candidates"][0]["content"]
    return found


def _with_one_changed(text: str) -> str:
    """The text with another character in its middle."""
    middle = len(text) // 2
    return f"{text[:middle]}{'B' if text[middle] == 'A' else 'A'}{text[middle + 1 :]}"


async def _another_steps_in(stage: Stage) -> None:
    """The model of a session is gone; what makes the next turn does not know what it thought."""
    rule = {"match": {"model": MODEL}, "action": "not-found", "count": 1}
    await stage.ground.desk.arrange(stage.ground.projects[0], rules=[rule])
    ended = await stage.ask("A fox, by another model", {"fallback": (OTHER,)}, place=Place())
    if not any(LOST in warning for warning in ended.warnings):
        stage.complaints.append(f"the lost context was not told: {ended.warnings} {ended.words}")


async def _say(stage: Stage, contents: list[dict[str, Any]]) -> int:
    """The status of a request with this history, at the cost of a project of its own."""
    key = f"emu-project-{stage.ground.projects[0]}-talk"
    document = {"contents": contents, "generationConfig": {"imageConfig": {"imageSize": "1K"}}}
    return await stage.ground.desk.generate(MODEL, document, key)


def _turn(record: Record, originals: Path) -> dict[str, Any]:
    """The model's turn as it must go back, from the files of the library."""
    return {"role": "model", "parts": [_part(p, record, originals) for p in record.turn]}


def _part(kept: Mapping[str, Any], record: Record, originals: Path) -> dict[str, Any]:
    part: dict[str, Any] = {}
    if "text" in kept:
        part["text"] = kept["text"]
    else:
        image = next(i for i in record.images if i.sha256 == kept["image"])
        key = blob_key(image.sha256, Path(image.key).suffix)
        data = base64.b64encode((originals / key).read_bytes()).decode()
        part["inlineData"] = {"mimeType": image.media_type, "data": data}
    if "signature" in kept:
        part["thoughtSignature"] = (originals / kept["signature"]).read_text(encoding="ascii")
    return part


async def pointed_elsewhere(stage: Stage) -> None:
    """An answer names an address, or carries a data address, in words: nothing is fetched."""
    heard: list[int] = []

    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(len(await reader.read(65536)))
        writer.close()

    server = await asyncio.start_server(listen, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        await stage.ask(f"A fox elsewhere [[fault:image-link:http://127.0.0.1:{port}/fox.png]]")
        await stage.ask("A fox in words [[fault:image-link:data]]")
        await asyncio.sleep(0.1)
    finally:
        server.close()
        await server.wait_closed()
    if heard:
        stage.complaints.append(f"the address in the answer saw {len(heard)} connections")
