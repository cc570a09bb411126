"""`heliograph calls`: every call that was or may have been paid for, how far it came, and what to
do about those whose outcome nobody knows.

Invariant: nothing here sends anything; a call in the hands of a living process is only looked at.
"""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from heliograph.cli import examples
from heliograph.cli.ask import Flag, refuse_limit
from heliograph.cli.screen import SIMULATED, facts_lines, folded, note, print_json, print_lines
from heliograph.cli.session import open_library, run_with
from heliograph.cli.stages import SHORT, WORDS, short, sums_of
from heliograph.client import AsyncHeliograph
from heliograph.errors import CallTaken, InvalidRequest, Problem, RecordNotFound, StorageError
from heliograph.journal import OPEN, CallEntry, Stage
from heliograph.ledger import settle
from heliograph.money import dollars, parse_dollars
from heliograph.providers.spool import places_of
from heliograph.storage import plan_from_document
from heliograph.types import LedgerLine

app = App(
    name="calls",
    help="List paid calls, show their history, and resolve those of unknown outcome.",
    help_format="plaintext",
    help_epilogue=examples("heliograph calls list --doubtful", "heliograph calls show 3f2a91c0"),
    result_action="return_value",
)

DOUBTFUL = (Stage.UNKNOWN, Stage.HELD)
SCANNED = 10_000  # calls among which one of several of a job is looked for
INDENT = " " * 12
STAGE_WIDTH = max(len(words) for words in WORDS.values())
Json = Annotated[Flag, Parameter()]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A call, its money, and who has it in hand."""

    entry: CallEntry
    lines: tuple[LedgerLine, ...]
    hand: str | None  # in words, for open calls
    process: int | None = None  # number of the living process that makes it
    folders: tuple[Path, ...] = ()  # where bytes of it lie

    @property
    def name(self) -> str:
        return short(self.entry.id)


@app.command(
    name="list",
    help_epilogue=examples("heliograph calls list", "heliograph calls list --doubtful --json"),
)
def list_(
    *,
    doubtful: Annotated[Flag, Parameter()] = False,
    open: Annotated[Flag, Parameter()] = False,  # noqa: A002 - the option's name
    limit: int = 20,
    json: Json = False,
    home: Path | None = None,
) -> int:
    """List calls, those begun last first. Opening the library finishes interrupted ones.

    Args:
        doubtful: Only calls whose outcome is unknown; what they may have cost is held.
        open: Only calls that are not finished.
        limit: How many at most.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    refuse_limit(limit)
    stages = (*(DOUBTFUL if doubtful else ()), *(OPEN if open else ()))

    async def work(client: AsyncHeliograph) -> list[Seen]:
        found = await client.calls(stages=stages, limit=limit)
        return [await _look(client, entry) for entry in found]

    seen = run_with(open_library(home), work)
    if json:
        print_json([_facts(call) for call in seen])
    elif seen:
        print_lines(_rows(seen))
    else:
        print_lines([_none(doubtful=doubtful, is_open=open)])
    return 0


@app.command(help_epilogue=examples("heliograph calls show 3f2a91c0-1"))
def show(call: str, /, *, json: Json = False, home: Path | None = None) -> int:
    """Show the whole history of one call, its money, where its bytes lie, and what to do.

    Args:
        call: Id, or the beginning of one (4 characters or more).
        json: Print as JSON.
        home: Folder of the library of originals.
    """

    async def work(client: AsyncHeliograph) -> Seen:
        return await _look(client, await _find(client, call))

    seen = run_with(open_library(home), work)
    if json:
        print_json({**_facts(seen), "history": _history_facts(seen.entry)})
    else:
        print_lines(_story(seen), simulated=seen.entry.simulated)
    return 0


@app.command(
    help_epilogue=examples(
        "heliograph calls resolve 3f2a91c0-1 --not-billed",
        "heliograph calls resolve 3f2a91c0-1 --billed",
        "heliograph calls resolve 3f2a91c0-1 --billed 0.24 --yes",
    )
)
def resolve(
    call: str,
    /,
    *,
    # text first: "--billed 1" is a dollar, not "yes"
    billed: Annotated[
        str | bool | None, Parameter(negative="", show_default=False, metavar="[DOLLARS]")
    ] = None,
    not_billed: Annotated[Flag, Parameter()] = False,
    yes: Annotated[Flag, Parameter(name=["--yes", "-y"])] = False,
    json: Json = False,
    home: Path | None = None,
) -> int:
    """Close a call of unknown outcome with what the provider's billing says.

    Args:
        call: Id, or the beginning of one (4 characters or more).
        billed: It was billed; with the amount in dollars, or without one at the list price.
        not_billed: Nothing was billed.
        yes: Do not ask on a terminal.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    amount = _amount(billed=billed, not_billed=not_billed)

    async def work(client: AsyncHeliograph) -> Seen | None:
        seen = await _look(client, await _find(client, call))
        _refuse_open(seen)
        micro = None if not_billed else _list_price(seen.entry) if amount is None else amount
        if seen.entry.stage.is_doubtful and not (yes or _confirmed(seen, micro)):
            return None
        return await _look(client, await client.resolve(seen.entry.id, micro))

    seen = run_with(open_library(home), work)
    if seen is None:
        note("Nothing was written.")
        return 1
    if json:
        print_json(_facts(seen))
        return 0
    held = sum(line.micro for line in seen.lines if line.kind == "hold")
    said = f"{dollars(held)} are no longer held. {seen.entry.note}"
    print_lines([f"{seen.name}: {said}"], simulated=seen.entry.simulated)
    return 0


# ---------------------------------------------------------------- finding


async def _find(client: AsyncHeliograph, text: str) -> CallEntry:
    """A call by its id, the beginning of one, or as people see it: 3f2a91c0-1.

    Raises:
        RecordNotFound: none or several match.
    """
    job, dash, number = text.partition("-")
    try:
        found = await client.call(job if dash and len(job) < 32 else text)
    except RecordNotFound:
        if not dash or len(job) < 4:
            raise
        several = await client.calls(limit=SCANNED)
        ids = [entry for entry in several if entry.id.startswith(job)]
        ids = [entry for entry in ids if entry.id.endswith(f"-{number}")]
        if len(ids) != 1:
            raise
        return ids[0]
    if dash and not found.id.endswith(f"-{number}"):
        raise RecordNotFound(
            f"There is no call {text}.",
            why=f"{found.job[:SHORT]} has no call of number {number}.",
            remedy="`heliograph calls list` shows what there is.",
        )
    return found


async def _look(client: AsyncHeliograph, entry: CallEntry) -> Seen:
    home = client.settings.home
    lines = [x for x in await client.lines(entry.job) if x.call_id == entry.id]
    hand, process = None, None
    if entry.stage.is_open:
        if await client.is_alive(entry):
            process = _process(home / "running" / entry.owner)
            hand = f"in the hands of process {process or 'unknown'}"
        elif entry.library != _read(home / "library-id"):
            hand = "in another library folder, which alone can tell"
        else:
            hand = "interrupted"
    places = (*places_of(home / "spool" / entry.spool), home / "quarantine" / entry.job)
    folders = tuple(place for place in places if place.is_dir())
    return Seen(entry=entry, lines=tuple(lines), hand=hand, process=process, folders=folders)


def _process(lease: Path) -> int | None:
    text = _read(lease)
    return int(text) if text.isdigit() else None


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""  # its process has just left


# ---------------------------------------------------------------- resolving


def _amount(*, billed: str | bool | None, not_billed: bool) -> int | None:
    """Micro-dollars that were named; None where none was."""
    said = billed is not None and billed is not False
    if said == not_billed:
        message = "says nothing" if not said else "cannot be both"
        raise _problem("billed", "", f"{message}; choose one of them", "--billed", "--not-billed")
    if not isinstance(billed, str):
        return None
    try:
        return parse_dollars(billed)
    except ValueError as error:
        raise _problem("billed", billed, str(error)) from error


def _list_price(entry: CallEntry) -> int:
    """What one picture of this request costs by the price table, as for an answer without usage."""
    plan = plan_from_document(entry.plan)
    return settle(plan, None, [plan.size]).micro


def _refuse_open(seen: Seen) -> None:
    entry = seen.entry
    if not entry.stage.is_open:
        return
    if seen.process is not None:
        raise CallTaken(
            f"Call {seen.name} is {seen.hand}; only that process can end it.",
            why=f"It is {WORDS[entry.stage]}, begun {entry.begun:%Y-%m-%d %H:%M:%S} UTC.",
            remedy="Wait for it, or stop the process with Ctrl-C; then look again: heliograph "
            f"calls show {seen.name}",
        )
    raise StorageError(
        f"Call {seen.name} is not finished, so there is nothing to resolve yet.",
        why=f"It is {WORDS[entry.stage]}, {seen.hand}.",
        remedy=_advice(seen),
    )


def _confirmed(seen: Seen, micro: int | None) -> bool:
    """Ask on a terminal; a script has said what it wants."""
    if not sys.stdin.isatty():
        return True
    said = "nothing was billed" if micro is None else f"{dollars(micro)} were billed"
    held = dollars(sums_of(seen.lines)["held"])
    note(f"{seen.name} of {seen.entry.begun:%Y-%m-%d %H:%M} UTC holds {held}.")
    sys.stderr.write(f"Write down that {said}? It cannot be changed later. [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


# ---------------------------------------------------------------- words


def _rows(seen: Sequence[Seen]) -> Iterator[str]:
    yield f"{'id':<10}  {'begun (UTC)':<16}  {'stage':<{STAGE_WIDTH}}  money"
    for call in seen:
        entry = call.entry
        words = WORDS[entry.stage].ljust(STAGE_WIDTH)
        yield f"{call.name:<10}  {entry.begun:%Y-%m-%d %H:%M}  {words}  {_money(call)}"
        more = [entry.model, f"project {entry.project}" if entry.project else "", call.hand or ""]
        more.append("simulated" if entry.simulated else "")
        yield from folded(", ".join(x for x in more if x), INDENT)
        if entry.note:
            yield from folded(entry.note, INDENT)


def _money(call: Seen) -> str:
    sums = sums_of(call.lines)
    words = {"reserved": " reserved", "settled": "", "held": " held"}
    parts = [f"{dollars(sums[name])}{word}" for name, word in words.items() if sums[name]]
    return ", ".join(parts) or dollars(0)


def _none(*, doubtful: bool, is_open: bool) -> str:
    kinds = [*(["of unknown outcome"] if doubtful else []), *(["unfinished"] if is_open else [])]
    return f"No call is {' or '.join(kinds)}." if kinds else "There are no calls yet."


def _story(seen: Seen) -> Iterator[str]:
    entry = seen.entry
    request = plan_from_document(entry.plan).request
    words = {
        "Id": entry.id,
        "Stage": ", ".join(x for x in (WORDS[entry.stage], seen.hand) if x),
        "Note": entry.note or "",
        "Money": _money(seen),
        "Begun": f"{entry.begun:%Y-%m-%d %H:%M:%S} UTC",
        "Prompt": " ".join(request.prompt.split()),
        "Model": entry.model,
        "Upstream": f"{entry.upstream} by {entry.transport}",
        "There as": entry.remote or "",
        "Project": entry.project,
        "Attempts": str(entry.attempts),
        "Tags": ", ".join(request.tags),
        "Key": request.idempotency_key or "",
        "Counts in": ", ".join(entry.scopes),
        "Bytes in": ", ".join(str(folder) for folder in seen.folders),
    }
    yield from facts_lines({name: text for name, text in words.items() if text})
    yield "History (UTC):"
    for step in entry.trail:
        facts = " ".join(f"{name}={value}" for name, value in step.facts.items())
        yield f"  {step.at:%H:%M:%S.%f}  {step.stage.value:<11}  {facts}".rstrip()
    yield "Ledger:"
    for line in seen.lines:
        yield f"  {line.at:%H:%M:%S.%f}  {line.kind:<12} {dollars(line.micro):>12}"
    taken = len(SIMULATED) if entry.simulated else 0
    yield from folded(f"What to do: {_advice(seen)}", "", taken=taken)


def _advice(seen: Seen) -> str:
    entry = seen.entry
    record = f"heliograph images show {entry.job[:SHORT]}"
    if entry.stage.is_open:
        if seen.process is not None:
            return "wait for it."
        if entry.remote:
            return f"its answer is asked for, free, at the next call that goes to {entry.upstream}."
        return "the next command of its library folder finishes it: heliograph calls list"
    return {
        Stage.SETTLED: f"nothing; its picture: {record}",
        Stage.REFUSED: f"read what the model said: {record}",
        Stage.QUARANTINED: "look into the folder named above; some viewers open damaged files.",
        Stage.RELEASED: "nothing; ask again when you like.",
    }.get(
        entry.stage,
        f"a day later, look at the provider's billing of project {entry.project} for this time "
        f"and model; then heliograph calls resolve {seen.name} --billed or --not-billed. If you do "
        "not find out, leave it: what it may have cost stays held.",
    )


def _facts(seen: Seen) -> dict[str, Any]:
    entry = seen.entry
    return {
        "id": entry.id,
        "job": entry.job,
        "stage": entry.stage.value,
        "meaning": WORDS[entry.stage],
        "open": entry.stage.is_open,
        "doubtful": entry.stage.is_doubtful,
        "hand": seen.hand,
        "process": seen.process,
        "begun": entry.begun.isoformat(),
        "changed": entry.changed.isoformat(),
        "model": entry.model,
        "upstream": entry.upstream,
        "transport": entry.transport,
        "remote": entry.remote,
        "project": entry.project,
        "attempts": entry.attempts,
        "simulated": entry.simulated,
        "scopes": list(entry.scopes),
        **{f"{name}_micro": micro for name, micro in sums_of(seen.lines).items()},
        "note": entry.note,
        "folders": [str(folder) for folder in seen.folders],
        "advice": _advice(seen),
        "ledger": [{"kind": x.kind, "micro": x.micro, "at": x.at.isoformat()} for x in seen.lines],
    }


def _history_facts(entry: CallEntry) -> list[dict[str, Any]]:
    return [
        {"stage": step.stage.value, "at": step.at.isoformat(), "facts": dict(step.facts)}
        for step in entry.trail
    ]


def _problem(field: str, value: str, message: str, *nearest: str) -> InvalidRequest:
    return InvalidRequest([Problem(field=field, value=value, message=message, nearest=nearest)])
