"""`heliograph generate`: from a prompt to a verified file, or to several."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from heliograph.cli.ask import Asking, Finishing, Flag, Repeating
from heliograph.cli.edge import error_lines
from heliograph.cli.given import Images, reads_stdin
from heliograph.cli.making import given_up, interrupted, small_files, tell, usual
from heliograph.cli.naming import Destination, destination, refuse_taken, write_files
from heliograph.cli.progress import Progress
from heliograph.cli.report import Searches, result_facts, searches_of, wire_facts
from heliograph.cli.screen import note, print_json
from heliograph.cli.session import Drain, open_client, patiently, run_with
from heliograph.cli.wording import (
    MOST_TEXTS,
    Drawing,
    Worded,
    Wording,
    concern_facts,
    concerns,
    gather,
    on_one_line,
    total,
)
from heliograph.client import AsyncHeliograph
from heliograph.errors import CostLimitExceeded, HeliographError, InvalidRequest, Problem
from heliograph.ledger import refuse_above_limit
from heliograph.money import dollars
from heliograph.options import Options
from heliograph.planning.failover import fallback_plans
from heliograph.types import Export, Plan, Request, Result
from heliograph.upstream import Access

OUTPUT = Group("Output", sort_key=0)
ASKING = Asking()
FINISHING = Finishing()
REPEATING = Repeating()
WORDING = Wording()
LONGEST_KEY = 255  # characters
MOST_VARIATIONS = MOST_TEXTS
SIDE_BY_SIDE = 8  # calls in flight at once
PARTLY_DONE = 3


@dataclass(frozen=True, kw_only=True)
class Job:
    """What one command is to make, and where it goes."""

    requests: tuple[Request, ...]
    where: Destination
    worded: Worded
    notes: tuple[str, ...]  # on how the words came about
    force: bool
    as_json: bool


@dataclass(frozen=True, kw_only=True)
class Made:
    """One finished variation."""

    result: Result
    files: tuple[Export, ...]
    searches: Searches | None


def generate(
    prompt: str | None = None,
    /,
    *,
    output: Annotated[
        str | None,
        Parameter(name=["--output", "-o"], group=OUTPUT, allow_leading_hyphen=True),
    ] = None,
    variations: Annotated[int, Parameter(name=["--variations", "-n"], group=OUTPUT)] = 1,
    all: Annotated[Flag, Parameter(name=["--all", "--combinations"], group=OUTPUT)] = False,  # noqa: A002
    force: Annotated[Flag, Parameter(group=OUTPUT)] = False,
    dry_run: Annotated[Flag, Parameter(group=OUTPUT)] = False,
    json: Annotated[Flag, Parameter(group=OUTPUT)] = False,
    quiet: Annotated[Flag, Parameter(name=["--quiet", "-q"], group=OUTPUT)] = False,
    verbose: Annotated[Flag, Parameter(name=["--verbose", "-v"], group=OUTPUT)] = False,
    simulate: Annotated[bool | None, Parameter(group=OUTPUT)] = None,
    home: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    wording: Wording = WORDING,
    asking: Asking = ASKING,
    repeating: Repeating = REPEATING,
    finishing: Finishing = FINISHING,
) -> int:
    """Make images, check their pixels, keep them, settle their cost, and write the files.

    The paths of the files go to standard output, everything else to standard error.

    Args:
        prompt: What to draw. Default: read it from standard input.
        output: File, folder, or - for standard output. Default: a name made from the prompt.
        variations: How many to make, side by side; each one is paid for.
        all: Make every combination of the wildcards once, 100 at most; each one is paid for.
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
    _refuse_contradictions(where, variations, as_json=json, every=all)
    progress = Progress(quiet=quiet or json, verbose=verbose)
    # a late answer is paid for: it is waited for
    client = open_client(simulate=simulate, home=home, observer=progress, is_patient=True)
    options: Options = {
        **asking.options(),
        **repeating.options(),
        **finishing.options(where.suffix),
    }

    drawing = Drawing(
        number=variations,
        every=all,
        seed=asking.seed,
        key=repeating.idempotency_key,
        stdin_taken=reads_stdin(asking.references),
    )

    async def work(client: AsyncHeliograph) -> int:
        worded = gather(prompt, wording, client.settings.home, drawing)
        options["references"] = await Images(client).references(asking.references)
        notes = (*worded.notes, *worded.suggest(options))
        requests = _requests(client, worded, options, every=all)
        plans = await _plans(client, requests)
        # whichever model answers in the end, the limit holds
        dearest = [max((p, *fallback_plans(p)), key=lambda p: p.estimate.high) for p in plans]
        _refuse_above_limit(dearest, client.request("", **options).max_cost)
        job = Job(
            requests=requests, where=where, worded=worded, notes=notes, force=force, as_json=json
        )
        if dry_run:
            return _print_dry(client, plans, job, quiet=quiet)
        _refuse_taken_names(job)
        access = await client.access()
        _begin(progress, plans, dearest, job, access)
        with progress:
            return await _make_all(client, job, access, progress)

    return run_with(client, work)


def _begin(
    progress: Progress, plans: Sequence[Plan], dearest: Sequence[Plan], job: Job, access: Access
) -> None:
    """Say what is about to be made, what it costs, and what may not be meant."""
    plan = max(plans, key=lambda p: p.estimate.expected)
    progress.start(plan, access, usual(plan), len(plans))
    if len(plans) > 1:
        progress.say(f"{len(plans)} pictures: {_all_together(plans)}")
    for other in {p.model: p for p in dearest if p not in plans}.values():
        progress.say(f"note: {other.model} may cost up to {dollars(other.estimate.high)}")
    if job.worded.is_resolved and not job.worded.differ:
        progress.say(f"prompt: {on_one_line(job.worded.texts[0])}")
    for line in (*job.notes, *_warnings(job, plans)):
        progress.say(f"note: {line}")


def _warnings(job: Job, plans: Sequence[Plan]) -> tuple[str, ...]:
    by_text = dict(zip(job.worded.texts, plans, strict=True))
    found = (str(c) for text, plan in by_text.items() for c in concerns(text, plan))
    return tuple(dict.fromkeys(found))


def _all_together(plans: Sequence[Plan]) -> str:
    sums = total(plans)
    return f"about {dollars(sums['expected_micro'])} in all, at most {dollars(sums['high_micro'])}"


def _print_dry(client: AsyncHeliograph, plans: Sequence[Plan], job: Job, *, quiet: bool) -> int:
    """The exact requests; those that are equal are one."""
    told = job.worded.facts()
    if not job.worded.differ:
        warned = concern_facts(concerns(job.worded.texts[0], plans[0]))
        facts = wire_facts(client, plans[0], len(plans))
        print_json({**facts, **told, "notes": list(job.notes), "prompt_warnings": warned})
        return 0
    requests = [
        {
            "prompt": text,
            **wire_facts(client, plan, 1),
            "prompt_warnings": concern_facts(concerns(text, plan)),
        }
        for text, plan in zip(job.worded.texts, plans, strict=True)
    ]
    notes = list(job.notes)
    facts = {"calls": len(plans), "estimate": dict(total(plans)), **told, "notes": notes}
    print_json({**facts, "requests": requests})
    if not (quiet or job.as_json):
        note(f"{len(plans)} pictures: {_all_together(plans)}; nothing was sent")
    return 0


def _image_facts(made: Made, job: Job, access: Access) -> dict[str, Any]:
    plan = made.result.plan
    return {
        **result_facts(made.result, made.files, access, made.searches),
        **job.worded.facts(),
        "notes": [*plan.notes, *job.notes],
        "prompt_warnings": concern_facts(concerns(plan.request.prompt, plan)),
    }


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
            searches = await searches_of(client, result.record)
            made = Made(result=result, files=files, searches=searches)
            if not job.as_json:
                if job.worded.differ:
                    progress.say(f"prompt: {on_one_line(request.prompt)}")
                tell(result, files, searches, job.where, progress)
            return made

    tasks = [asyncio.ensure_future(one(n, r)) for n, r in enumerate(job.requests, start=1)]
    stopped: KeyboardInterrupt | None = None
    try:
        await patiently(_all_of(tasks), lambda: progress.sent, progress.held_back, drain)
    except KeyboardInterrupt as insisted:
        stopped = insisted
        await client.abandon()  # what became of each is written down, and told
    made, failed = _sorted(tasks)
    if not several and failed:
        raise failed[0]
    progress.stop()
    if job.as_json:
        facts = [_image_facts(m, job, access) for m in made]
        wrong = [e.as_dict() for e in (*failed, *given_up(progress))]
        one_alone = facts[0] if facts else {"error": interrupted(progress)}
        print_json({"images": facts, "errors": wrong} if several else one_alone)
    else:
        for error in failed:
            for line in error_lines(error):
                note(line, simulated=access.simulated)
    if stopped is not None:
        raise stopped
    if drain.is_on:
        return drain.exit_code
    if failed:
        return PARTLY_DONE if made else failed[0].exit_code
    return 0


async def _all_of(tasks: Sequence["asyncio.Task[Made | None]"]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def _sorted(
    tasks: Sequence["asyncio.Task[Made | None]"],
) -> tuple[list[Made], list[HeliographError]]:
    """What came of them; those that were not begun, or not waited for, are in neither."""
    made, failed = list[Made](), list[HeliographError]()
    for task in tasks:
        if task.cancelled():
            continue
        error = task.exception()
        if isinstance(error, HeliographError):
            failed.append(error)
        elif error is not None:
            raise error
        elif (one := task.result()) is not None:
            made.append(one)
    return made, failed


def _refuse_above_limit(dearest: Sequence[Plan], limit: int | None) -> None:
    """`--max-cost` is for the whole command."""
    worst = sum(plan.estimate.high for plan in dearest)
    if limit is None or worst <= limit:
        return
    if len(dearest) == 1:
        plan = dearest[0]
        refuse_above_limit(replace(plan, request=replace(plan.request, max_cost=limit)))
    each = max(plan.estimate.high for plan in dearest)
    raise CostLimitExceeded(
        f"{len(dearest)} variations may cost up to {dollars(worst)}, above the limit of "
        f"{dollars(limit)}.",
        why=f"Each may cost up to {dollars(each)}.",
        remedy="Make fewer, raise the limit, or choose a smaller size; nothing was sent.",
        facts={"high": worst, "limit": limit},
    )


def _requests(
    client: AsyncHeliograph, worded: Worded, options: Options, *, every: bool
) -> tuple[Request, ...]:
    """Requests for different pictures: seeds and idempotency keys count up."""
    # what all may cost is held against the whole command already
    first = replace(client.request(worded.texts[0], **options), max_cost=None)
    if len(worded.texts) == 1:
        return (first,)
    texts = enumerate(worded.texts)
    requests = [_variation(replace(first, prompt=text), number) for number, text in texts]
    if every:
        # they are to be compared: the words differ, nothing else
        requests = [replace(request, seed=first.seed) for request in requests]
    made = set[str]()
    for number, request in enumerate(requests):
        # without a seed equal words are one request, and who asks for several wants several
        again = first.seed is None and request.prompt in made
        made.add(request.prompt)
        requests[number] = replace(request, fresh=first.fresh or again)
    return tuple(requests)


def _variation(request: Request, number: int) -> Request:
    key, seed = request.idempotency_key, request.seed
    if key is not None:
        key = f"{key}-{number + 1}"
        if len(key) > LONGEST_KEY:
            message = f"is longer than {LONGEST_KEY} characters with its number"
            raise _problem("idempotency_key", key, message)
    return replace(request, idempotency_key=key, seed=None if seed is None else seed + number)


async def _plans(client: AsyncHeliograph, requests: Sequence[Request]) -> list[Plan]:
    """A plan for each request; equal words are planned once."""
    known: dict[str, Plan] = {}
    for request in requests:
        if request.prompt not in known:
            known[request.prompt] = await client.admit(request)
    return [known[request.prompt] for request in requests]


def _refuse_taken_names(job: Job) -> None:
    """Before anything is paid for, and as `_make_all` names the files."""
    several = len(job.requests) > 1
    if several and job.where.to_stdout:
        raise _problem("output", "-", "standard output takes one picture and nothing else")
    for number, request in enumerate(job.requests, start=1):
        one = job.where.numbered(number if several else None)
        refuse_taken(one, request.finish.format, small_files(request), force=job.force)


def _refuse_contradictions(
    where: Destination, variations: int, *, as_json: bool, every: bool
) -> None:
    if not 1 <= variations <= MOST_VARIATIONS:
        message = f"must be from 1 to {MOST_VARIATIONS}"
        raise _problem("variations", str(variations), message)
    if every and variations != 1:
        message = "contradicts --all, which makes each combination once"
        raise _problem("variations", str(variations), message)
    if where.to_stdout and (variations > 1 or as_json):
        raise _problem("output", "-", "standard output takes one picture and nothing else")


def _problem(field: str, value: str, message: str) -> InvalidRequest:
    return InvalidRequest([Problem(field=field, value=value, message=message)])
