"""`heliograph edit`: change a picture by words, and keep the result as a new version of it.

Invariant: a setting that is not given stays what it was in the version that is changed; a default
of the command line never takes its place.
"""

import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from heliograph.cli.ask import Asking, Finishing, Flag, Repeating
from heliograph.cli.given import STDIN, Images, is_file, is_id, reads_stdin
from heliograph.cli.making import interrupted, small_files, tell, usual
from heliograph.cli.naming import Destination, destination, refuse_taken, write_files
from heliograph.cli.progress import Progress
from heliograph.cli.report import result_facts, searches_of, wire_facts
from heliograph.cli.screen import note, print_json, size_text
from heliograph.cli.session import Drain, open_client, patiently, run_with
from heliograph.cli.session_report import SHORT
from heliograph.cli.wording import concern_facts, concerns, from_stdin, refused
from heliograph.client import AsyncHeliograph
from heliograph.errors import RecordNotFound
from heliograph.money import dollars
from heliograph.sessions import Session, Turn
from heliograph.types import Plan, Request
from heliograph.upstream import Access

OUTPUT = Group("Output", sort_key=0)
WHICH = Group("What is changed", sort_key=-1)
ASKING = Asking()
FINISHING = Finishing()
REPEATING = Repeating()
LOSSY = (".jpg", ".jpeg", ".jpe", ".webp", ".avif")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Changing:
    """Which picture is changed, and which part of it."""

    go_on: Annotated[Flag, Parameter(name=["--continue", "-c"], group=WHICH)] = False
    "Go on from where things stand: the last picture, or where undo or branch went."
    session: Annotated[str | None, Parameter(group=WHICH)] = None
    "Go on in this session: its id, the beginning of one, or its name."
    version: Annotated[str | None, Parameter(name="--from", group=WHICH)] = None
    "Go on from this version of the session: its number, name or id."
    drop: Annotated[
        list[str], Parameter(name="--drop", group=WHICH, negative="", show_default=False)
    ] = field(default_factory=list)
    "A setting that is not taken over from that version, such as seed; repeatable."
    context: Annotated[str | None, Parameter(group=WHICH)] = None
    "What of earlier turns goes back: lineage (all words, the last picture), all, or last-N."
    region: Annotated[
        str | None, Parameter(group=WHICH, allow_leading_hyphen=True, show_default=False)
    ] = None
    "Change only this part: x,y,width,height in pixels of the picture."
    mask: Annotated[Path | None, Parameter(group=WHICH)] = None
    "Change only this part: a black PNG, white or transparent where the picture may change."
    protect: Annotated[Flag, Parameter(group=WHICH)] = False
    "Put back every pixel outside of the region or mask as it was; the file is a PNG."
    feather: Annotated[int | None, Parameter(group=WHICH)] = None
    "Soft edge inside of the region or mask, in pixels. Default: 32 with --protect, else 0."

    @property
    def goes_on(self) -> bool:
        """Whether the picture to change is one of a session, and so not named."""
        return self.go_on or self.session is not None or self.version is not None

    def options(self) -> dict[str, Any]:
        """As library options, those that were given."""
        options: dict[str, Any] = {
            "context": self.context,
            "region": None if self.region is None else _region(self.region),
            "mask": self.mask,
            "protect": self.protect or None,
            "feather": self.feather,
        }
        return {name: value for name, value in options.items() if value is not None}


CHANGING = Changing()


@dataclass(frozen=True, kw_only=True)
class Spoken:
    """What the words of the command line mean."""

    image: str | None  # None goes on in a session
    change: str


@dataclass(frozen=True, kw_only=True)
class Job:
    """One turn that is to be made, and where it goes."""

    request: Request
    plan: Plan
    where: Destination
    force: bool
    as_json: bool


def edit(
    image: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    change: str | None = None,
    /,
    *,
    output: Annotated[
        str | None,
        Parameter(name=["--output", "-o"], group=OUTPUT, allow_leading_hyphen=True),
    ] = None,
    force: Annotated[Flag, Parameter(group=OUTPUT)] = False,
    dry_run: Annotated[Flag, Parameter(group=OUTPUT)] = False,
    json: Annotated[Flag, Parameter(group=OUTPUT)] = False,
    quiet: Annotated[Flag, Parameter(name=["--quiet", "-q"], group=OUTPUT)] = False,
    verbose: Annotated[Flag, Parameter(name=["--verbose", "-v"], group=OUTPUT)] = False,
    simulate: Annotated[bool | None, Parameter(group=OUTPUT)] = None,
    home: Annotated[Path | None, Parameter(group=OUTPUT)] = None,
    changing: Changing = CHANGING,
    asking: Asking = ASKING,
    repeating: Repeating = REPEATING,
    finishing: Finishing = FINISHING,
) -> int:
    """Change a picture by words; the result is a new version, and the old one stays.

    Settings that are not given are those of the version that is changed. The paths of the files
    go to standard output, everything else to standard error.

    Args:
        image: What to change: a file, the id of a kept picture, - for standard input, or
            clipboard. Left out with --continue, --session or --from.
        change: What is to be different. Default: read it from standard input.
        output: File, folder, or - for standard output. Default: a name made from the change.
        force: Replace an existing file.
        dry_run: Print the exact request, what it uploads and its estimate; send nothing.
        json: Print the result as JSON.
        quiet: Print nothing but errors and the paths.
        verbose: Print every step with its time.
        simulate: Use the local emulator, or with --no-simulate insist on a key. Default: the
            emulator when there is no key.
        home: Folder of the library of originals.
    """
    where = destination(output)
    _refuse_contradictions(where, changing, as_json=json)
    options = {
        **asking.options(),
        **repeating.options(),
        **finishing.shape(),
        **changing.options(),
    }
    finish = finishing.given(where.suffix)
    words = [*asking.references, *([image] if image and not changing.goes_on else [])]
    spoken = _spoken(image, change, changing, stdin_taken=reads_stdin(words))
    progress = Progress(quiet=quiet or json, verbose=verbose)
    # a late answer is paid for: it is waited for
    client = open_client(simulate=simulate, home=home, observer=progress, is_patient=True)

    async def work(client: AsyncHeliograph) -> int:
        images = Images(client)
        of, session = await _which(client, images, spoken, changing)
        references = await images.references(asking.references)
        given = {**options, **({"references": references} if references else {})}
        request = await client.sessions.request(
            spoken.change, of=of, session=session, drop=changing.drop, options=given
        )
        # field by field: a quality that is given leaves the format as it was
        request = replace(request, finish=replace(request.finish, **finish))
        plan = await client.admit(request)
        job = Job(request=request, plan=plan, where=where, force=force, as_json=json)
        if dry_run:
            return _print_dry(client, job, quiet=quiet)
        kind = request.finish.format or ("png" if request.protect else None)
        refuse_taken(where, kind, small_files(request), force=force)
        access = await client.access()
        progress.start(plan, access, usual(plan))
        progress.say(_upload(plan))
        for concern in concerns(spoken.change, plan):
            progress.say(f"note: {concern}")
        with progress:
            return await _make(client, job, access, progress)

    return run_with(client, work)


async def _which(
    client: AsyncHeliograph, images: Images, spoken: Spoken, changing: Changing
) -> tuple[str | Path | bytes | None, str | None]:
    """What is to be changed, and in which session, as the library takes them."""
    if spoken.image is not None:
        return await _picture(client, images, spoken.image), None
    if changing.version is not None and changing.session is None:
        return changing.version, (await client.sessions.current()).id
    return changing.version, changing.session


async def _picture(client: AsyncHeliograph, images: Images, word: str) -> str | Path | bytes:
    """What is to be changed, as the library takes it: an id, or a picture from outside."""
    if not is_id(word):
        return await images.source(word)
    try:
        return (await client.image(word)).id
    except RecordNotFound as error:
        try:
            session = await client.sessions.find(word)
        except RecordNotFound:
            raise error from None
        error.remedy = f"It is a session: heliograph edit --session {session.id[:SHORT]} …"
        raise


def _print_dry(client: AsyncHeliograph, job: Job, *, quiet: bool) -> int:
    plan, request = job.plan, job.request
    print_json(
        {
            **wire_facts(client, plan, 1),
            "upload_bytes": plan.upload,
            "earlier_turns": len(plan.history),
            "session": request.session,
            "parent": request.follows,
            "prompt_warnings": concern_facts(concerns(request.prompt, plan)),
        }
    )
    if not (quiet or job.as_json):
        note(f"{_upload(plan)}; {_price(plan)}; nothing was sent")
    return 0


async def _make(client: AsyncHeliograph, job: Job, access: Access, progress: Progress) -> int:
    drain = Drain(client, lambda: progress.begun, note)
    try:
        turn = await patiently(
            client.sessions.run(job.request), lambda: progress.sent, progress.held_back, drain
        )
    except KeyboardInterrupt:
        await client.abandon()  # what became of it is written down, and told
        progress.stop()
        if job.as_json:
            print_json({"error": interrupted(progress)})
        raise
    result = turn.result
    # what stays as it was is in this one: it is the picture that was asked for
    seen = [replace(e, name="export") if e.name == "protected" else e for e in result.exports]
    files = write_files(
        *(result.record, result.path, seen, job.where), force=job.force, cost=result.cost
    )
    searches = await searches_of(client, result.record)
    progress.stop()
    if job.as_json:
        facts = result_facts(result, files, access, searches)
        warned = concern_facts(concerns(job.request.prompt, job.plan))
        print_json({**facts, **turn_facts(turn), "prompt_warnings": warned})
    else:
        progress.say(f"version {turn.node.number} of session {_name(turn.session)}")
        tell(result, files, searches, job.where, progress)
    return drain.exit_code


def turn_facts(turn: Turn) -> dict[str, Any]:
    """Where a version stands, for a program."""
    parent = turn.session.nodes[turn.node.parent] if turn.node.parent else None
    return {
        "session": turn.session.id,
        "session_name": turn.session.name,
        "version": turn.node.number,
        "parent": turn.result.record.follows,
        "parent_version": parent.number if parent else None,
    }


def _name(session: Session) -> str:
    return f"{session.id[:SHORT]} ({session.name})"


def _upload(plan: Plan) -> str:
    count = len(plan.inputs)
    turns = len(plan.history)
    what = f"uploads {count} image{'' if count == 1 else 's'}, {size_text(plan.upload)}"
    if not turns:
        return what
    return f"{what}, and the words of {turns} earlier turn{'' if turns == 1 else 's'}"


def _price(plan: Plan) -> str:
    estimate = plan.estimate
    return f"about {dollars(estimate.expected)}, at most {dollars(estimate.high)}"


def _spoken(
    image: str | None, change: str | None, changing: Changing, *, stdin_taken: bool
) -> Spoken:
    if image is not None and image.startswith("-") and image != STDIN:
        # a mistyped option must not become the words of a paid turn
        raise refused("image", image, "is no option of this command, and no picture")
    if changing.goes_on:
        if image is not None and change is not None:
            message = "is given besides --continue, --session or --from; give only the change"
            raise refused("image", image, message)
        return Spoken(image=None, change=_change(image, stdin_taken=stdin_taken))
    if image is None:
        message = (
            'is missing: heliograph edit photo.jpg "make it night", or to go on from the last '
            'picture: heliograph edit -c "make it night"'
        )
        raise refused("image", "", message)
    is_special = image in (STDIN, "clipboard") or "://" in image or is_id(image)
    if not is_special and not is_file(image):
        message = "is no file and no id of a kept picture"
        if change is not None and is_file(change):
            message = f"{message}; the picture comes first: heliograph edit {change} …"
        elif change is None:
            message = f"{message}; to go on from the last picture: heliograph edit -c …"
        raise refused("image", image, message)
    return Spoken(image=image, change=_change(change, stdin_taken=stdin_taken))


def _change(change: str | None, *, stdin_taken: bool) -> str:
    if change is not None:
        return change
    if stdin_taken:
        raise refused("change", "-", "cannot come from standard input together with an image")
    if sys.stdin.isatty():
        raise refused("change", "", 'is missing: say what is to be different, "make it night"')
    return from_stdin("change")


def _region(text: str) -> tuple[int, int, int, int]:
    numbers = [part.strip() for part in text.split(",")]
    try:
        x, y, width, height = map(int, numbers)
    except ValueError as error:
        message = "must be x,y,width,height in pixels, such as 1200,800,900,600"
        raise refused("region", text, message) from error
    return x, y, width, height


def _refuse_contradictions(where: Destination, changing: Changing, *, as_json: bool) -> None:
    if where.to_stdout and as_json:
        raise refused("output", "-", "standard output takes one picture and nothing else")
    if changing.protect and where.suffix.lower() in LOSSY:
        message = (
            f"{where.suffix} loses detail, and --protect keeps every pixel outside of the area: "
            f"call it {where.stem}.png"
        )
        raise refused("output", f"{where.stem}{where.suffix}", message)
