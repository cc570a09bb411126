"""`heliograph generate`: from a prompt to a verified file, or to several."""

import asyncio
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

from cyclopts import Group, Parameter

from heliograph.cli.ask import Asking, Finishing, Flag, Repeating
from heliograph.cli.edge import TERMINATED, error_lines
from heliograph.cli.naming import (
    Destination,
    destination,
    refuse_taken,
    same_kind,
    write_files,
)
from heliograph.cli.progress import Progress
from heliograph.cli.report import result_facts, result_lines, wire_facts
from heliograph.cli.screen import note, print_json
from heliograph.cli.session import Drain, open_client, patiently, run_with
from heliograph.client import AsyncHeliograph, Options
from heliograph.errors import CostLimitExceeded, HeliographError, InvalidRequest, Problem
from heliograph.ledger import refuse_above_limit
from heliograph.money import dollars
from heliograph.planning import catalogue
from heliograph.planning.failover import fallback_plans
from heliograph.types import Export, Plan, Request, Result
from heliograph.upstream import Access

OUTPUT = Group("Output", sort_key=0)
ASKING = Asking()
FINISHING = Finishing()
REPEATING = Repeating()
LONGEST_KEY = 255  # characters
MOST_VARIATIONS = 100
SIDE_BY_SIDE = 8  # calls in flight at once
PARTLY_DONE = 3


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one command is to make, and where it goes."""

    requests: tuple[Request, ...]
    where: Destination
    force: bool
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class Made:
    """One finished variation."""

    result: Result
    files: tuple[Export, ...]


def generate(
    prompt: str | None = None,
    /,
    *,
    prompt_file: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    output: Annotated[
        str | None,
        Parameter(name=["--output", "-o"], group=OUTPUT, allow_leading_hyphen=True),
    ] = None,
    variations: Annotated[int, Parameter(name=["--variations", "-n"], group=OUTPUT)] = 1,
    force: Annotated[Flag, Parameter(group=OUTPUT)] = False,
    dry_run: Annotated[Flag, Parameter(group=OUTPUT)] = False,
    json: Annotated[Flag, Parameter(group=OUTPUT)] = False,
    quiet: Annotated[Flag, Parameter(name=["--quiet", "-q"], group=OUTPUT)] = False,
    verbose: Annotated[Flag, Parameter(name=["--verbose", "-v"], group=OUTPUT)] = False,
    simulate: Annotated[bool | None, Parameter(group=OUTPUT)] = None,
    home: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    asking: Asking = ASKING,
    repeating: Repeating = REPEATING,
    finishing: Finishing = FINISHING,
) -> int:
    """Make images, check their pixels, keep them, settle their cost, and write the files.

    The paths of the files go to standard output, everything else to standard error.

    Args:
        prompt: What to draw. Default: read it from standard input.
        prompt_file: Read the prompt from a file.
        output: File, folder, or - for standard output. Default: a name made from the prompt.
        variations: How many to make, side by side; each one is paid for.
        force: Replace an existing file.
        dry_run: Print the exact request and its estimate; send nothing.
        json: Print the result as JSON.
        quiet: Print nothing but errors and the paths.
        verbose: Print every step with its time.
        simulate: Use the local emulator, or with --no-simulate insist on a key. Default: the
            emulator when there is no key.
        home: Folder of the library of originals.
    """
    where = destination(output)
    _refuse_contradictions(where, variations, as_json=json)
    progress = Progress(quiet=quiet or json, verbose=verbose)
    # a late answer is paid for: it is waited for
    client = open_client(simulate=simulate, home=home, observer=progress, is_patient=True)
    options: Options = {
        **asking.options(),
        **repeating.options(),
        **finishing.options(where.suffix),
    }

    async def work(client: AsyncHeliograph) -> int:
        text = _prompt(prompt, prompt_file, asking.references)
        options["references"] = await _references(client, asking.references)
        request = client.request(text, **options)
        plan = await client.admit(replace(request, max_cost=None))
        # whichever model answers in the end, the limit holds
        dearest = max((plan, *fallback_plans(plan)), key=lambda p: p.estimate.high)
        _refuse_above_limit(dearest, request.max_cost, variations)
        if dry_run:
            print_json(wire_facts(client, plan, variations))
            return 0
        requests = _variations(request, variations)
        for number in range(variations):
            one = where.numbered(number + 1 if variations > 1 else None)
            refuse_taken(one, request.finish.format, _small(request), force=force)
        access = await client.access()
        progress.start(plan, access, _usual(plan), variations)
        if dearest is not plan:
            progress.say(f"note: {dearest.model} may cost up to {dollars(dearest.estimate.high)}")
        job = Job(requests=requests, where=where, force=force, as_json=json)
        with progress:
            return await _make_all(client, job, access, progress)

    return run_with(client, work)


async def _make_all(client: AsyncHeliograph, job: Job, access: Access, progress: Progress) -> int:
    gate = asyncio.Semaphore(SIDE_BY_SIDE)
    several = len(job.requests) > 1
    drain = Drain(client, lambda: progress.begun, note)

    async def one(number: int, request: Request) -> Made | None:
        async with gate:
            if drain.is_on:
                return None  # not begun, and now it will not be
            result = await client.run(request)
            where = job.where.numbered(number if several else None)
            files = write_files(
                *(result.record, result.path, result.exports, where),
                force=job.force,
                cost=result.cost,
            )
            made = Made(result=result, files=files)
            if not job.as_json:
                _show(made, job.where, progress)
            return made

    numbered = [one(number, r) for number, r in enumerate(job.requests, start=1)]
    together = asyncio.gather(*numbered, return_exceptions=several)
    outcomes = await patiently(_awaited(together), lambda: progress.sent, progress.held_back, drain)
    made = [o for o in outcomes if isinstance(o, Made)]
    errors = [o for o in outcomes if isinstance(o, BaseException)]
    unexpected = next((e for e in errors if not isinstance(e, HeliographError)), None)
    if unexpected is not None:
        raise unexpected
    failed = [e for e in errors if isinstance(e, HeliographError)]
    if failed and not made:
        raise failed[0]
    progress.stop()
    if job.as_json:
        facts = [result_facts(m.result, m.files, access) for m in made]
        wrong = [e.as_dict() for e in failed]
        print_json({"images": facts, "errors": wrong} if several else facts[0])
    else:
        for error in failed:
            for line in error_lines(error):
                note(line, simulated=access.simulated)
    if drain.is_on:
        return TERMINATED
    return PARTLY_DONE if failed else 0


async def _awaited(
    together: "asyncio.Future[list[Made | BaseException | None]]",
) -> Sequence[object]:
    return await together


def _show(made: Made, where: Destination, progress: Progress) -> None:
    """The paths to standard output; the rest is for the person watching."""
    for line in result_lines(made.result, made.files):
        progress.say(line)
    actual = made.files[0].path.suffix
    if where.suffix and not same_kind(where.suffix, actual):
        progress.say(f"note: it came as {actual[1:]}, so the file is not called {where.suffix}")
    if not where.to_stdout:
        for file in made.files:
            progress.result(str(file.path))


def _prompt(prompt: str | None, prompt_file: Path | None, references: Sequence[str]) -> str:
    if prompt is not None and prompt_file is not None:
        raise _problem("prompt", prompt, "is given twice: as an argument and as a file")
    if prompt_file is not None and str(prompt_file) != "-":
        try:
            return prompt_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            message = f"cannot be read ({error})"
            raise _problem("prompt_file", str(prompt_file), message) from error
    if prompt is not None:
        return prompt
    if "-" in references:
        raise _problem("prompt", "-", "cannot come from standard input together with an image")
    if sys.stdin.isatty():
        raise _problem("prompt", "", 'is missing: heliograph generate "A snow leopard"')
    return sys.stdin.read().strip()


async def _references(client: AsyncHeliograph, words: Sequence[str]) -> list[str | Path | bytes]:
    """Files, ids of kept images, or standard input."""
    found: list[str | Path | bytes] = []
    for word in words:
        if word == "-":
            found.append(sys.stdin.buffer.read())
        elif "://" in word:
            message = "addresses are not fetched; download it first and give the file"
            raise _problem("image", word, message)
        elif _is_id(word):
            found.append(await client.original(await client.image(word)))
        else:
            found.append(Path(word))
    return found


def _is_id(word: str) -> bool:
    digits = 4 <= len(word) <= 32 and all(c in "0123456789abcdef" for c in word)
    return digits and not Path(word).exists()


def _refuse_above_limit(plan: Plan, limit: int | None, variations: int) -> None:
    """`--max-cost` is for the whole command."""
    worst = plan.estimate.high * variations
    if limit is None or worst <= limit:
        return
    if variations == 1:
        refuse_above_limit(replace(plan, request=replace(plan.request, max_cost=limit)))
    raise CostLimitExceeded(
        f"{variations} variations may cost up to {dollars(worst)}, above the limit of "
        f"{dollars(limit)}.",
        why=f"Each may cost up to {dollars(plan.estimate.high)}.",
        remedy="Make fewer, raise the limit, or choose a smaller size; nothing was sent.",
        facts={"high": worst, "limit": limit},
    )


def _variations(request: Request, count: int) -> tuple[Request, ...]:
    """Requests for different pictures: seeds and idempotency keys count up."""
    unlimited = replace(request, max_cost=None)  # held against the whole command already
    if count == 1:
        return (unlimited,)
    return tuple(_variation(unlimited, number) for number in range(count))


def _variation(request: Request, number: int) -> Request:
    key, seed = request.idempotency_key, request.seed
    if key is not None:
        key = f"{key}-{number + 1}"
        if len(key) > LONGEST_KEY:
            message = f"is longer than {LONGEST_KEY} characters with its number"
            raise _problem("idempotency_key", key, message)
    return replace(
        request,
        idempotency_key=key,
        seed=None if seed is None else seed + number,
        # without a seed all of them are one request, and who asks for several wants several
        fresh=request.fresh or (seed is None and number > 0),
    )


def _small(request: Request) -> list[str]:
    return [name for name in ("preview", "thumbnail") if getattr(request.finish, name)]


def _usual(plan: Plan) -> str | None:
    """How long it usually takes, measured where it was measured."""
    seconds = catalogue().models[plan.model].seconds
    return f"usually {seconds.typical} to {seconds.slow} s" if seconds else None


def _refuse_contradictions(where: Destination, variations: int, *, as_json: bool) -> None:
    if not 1 <= variations <= MOST_VARIATIONS:
        message = f"must be from 1 to {MOST_VARIATIONS}"
        raise _problem("variations", str(variations), message)
    if where.to_stdout and (variations > 1 or as_json):
        raise _problem("output", "-", "standard output takes one picture and nothing else")


def _problem(field: str, value: str, message: str) -> InvalidRequest:
    return InvalidRequest([Problem(field=field, value=value, message=message)])
