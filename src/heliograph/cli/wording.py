"""From what a command was given to the texts that are sent: plain, in sections, or of a template.

Invariant: a text changes only by what was asked for: wildcards are resolved for `--wildcards`,
`--combinations`, a wildcard seed or a template, and are otherwise left as written, with a note.
"""

import hashlib
import secrets
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from heliograph.cli.ask import Flag
from heliograph.errors import InvalidRequest, Problem
from heliograph.options import Options
from heliograph.planning import catalogue
from heliograph.planning.price import text_tokens
from heliograph.prompts import (
    SECTIONS,
    Asked,
    Collection,
    Concern,
    Structured,
    Template,
    count,
    escape,
    every,
    expand,
    is_document,
    lint,
    looks_wild,
    parse,
    read_document,
    read_structured,
)
from heliograph.types import Plan

PROMPT = Group("Prompt", sort_key=-1)
SEEDS = 2**31  # a seed that is made up is below this
MOST_TEXTS = 100  # of one command
MOST_LETTERS = 1 << 20  # more than any model reads
TOO_LONG = f"is longer than {MOST_LETTERS} letters, which no model reads"


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Source:
    """Where the words come from, besides the prompt itself."""

    template: Annotated[
        str | None, Parameter(name=["--template", "-t"], group=PROMPT, show_default=False)
    ] = None
    "A template, by its name or its file; see `heliograph prompts list`."
    params: Annotated[
        list[str],
        Parameter(name=["--param", "-p"], group=PROMPT, negative="", show_default=False),
    ] = field(default_factory=list)
    "A variable of the template, as NAME=VALUE; repeatable."
    prompt_file: Annotated[Path | None, Parameter(group=PROMPT)] = None
    "Read the prompt from a text file, or in sections from .yaml, .json or .toml."
    subject: Annotated[str | None, Parameter(group=PROMPT)] = None
    "What is shown; the same as the prompt, for use with the sections below."
    style: Annotated[str | None, Parameter(group=PROMPT)] = None
    "Medium, period, mood, palette."
    composition: Annotated[str | None, Parameter(group=PROMPT)] = None
    "Framing, viewpoint, arrangement."
    technical: Annotated[str | None, Parameter(group=PROMPT)] = None
    "Camera, lens, light, material."
    negative: Annotated[list[str], Parameter(group=PROMPT, negative="", show_default=False)] = (
        field(default_factory=list)
    )
    "What is not wanted, such as blurry, people; sent as what is wanted instead. Repeatable."

    @property
    def is_given(self) -> bool:
        """Whether the options alone hold a prompt."""
        return bool(self.template or self.prompt_file or self.subject)

    def sections(self) -> dict[str, str]:
        """The sections that were given."""
        given = {name: getattr(self, name) for name in SECTIONS}
        return {name: text for name, text in given.items() if text is not None}

    def values(self) -> dict[str, str]:
        """The variables by name.

        Raises:
            InvalidRequest: one is not NAME=VALUE, or comes twice.
        """
        found: dict[str, str] = {}
        for word in self.params:
            name, equals, value = word.partition("=")
            name = name.strip()
            if not equals or not name:
                raise refused("param", word, "must be NAME=VALUE")
            if name in found:
                raise refused("param", word, f"gives {name} a second time")
            found[name] = value
        return found


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Wording(Source):
    """Where the words come from, and whether wildcards in them are resolved."""

    wildcards: Annotated[Flag, Parameter(group=PROMPT)] = False
    "Resolve {a|b} and __name__ in the prompt; a template's own always are."
    wildcard_seed: Annotated[int | None, Parameter(group=PROMPT)] = None
    "Seed of the choices. Default: --seed, or a random one, which is told."


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """How many texts are wanted."""

    number: int = 1
    every: bool = False  # all combinations instead
    seed: int | None = None  # of the pictures; it also chooses, unless there is a seed for that
    key: str | None = None  # idempotency key: who asks again must get the same words
    stdin_taken: bool = False  # an image comes from there


@dataclass(frozen=True, kw_only=True)
class Worded:
    """The texts to send, and how they came about."""

    texts: tuple[str, ...]
    notes: tuple[str, ...] = ()
    wildcard_seed: int | None = None  # of the first text; the others count up from it
    template: Template | None = None
    is_resolved: bool = False  # whether they are other words than those that were given

    @property
    def differ(self) -> bool:
        """Whether there is more than one text."""
        return len(set(self.texts)) > 1

    def suggest(self, options: Options) -> tuple[str, ...]:
        """Take the ratio of the template where the caller leaves it open; says so."""
        shape = self.template.aspect if self.template else None
        fixed = ("aspect", "pixels", "use", "references")
        if shape is None or self.template is None or any(options.get(name) for name in fixed):
            return ()
        options["aspect"] = shape
        return (f"{shape} is the ratio of the template {self.template.name}; --aspect changes it",)

    def facts(self) -> dict[str, Any]:
        """What a program wants to know of it."""
        return {
            "template": self.template.name if self.template else None,
            "wildcard_seed": self.wildcard_seed,
        }


def gather(given: str | None, asked: Wording, home: Path, drawing: Drawing) -> Worded:
    """The texts that a command is to send.

    Args:
        given: the prompt of the command line.
        home: folder of the library, which has the saved prompts and word lists.

    Raises:
        InvalidRequest: words are missing, given twice, or make no sense; nothing was sent.
        RecordNotFound: there is no such template.
    """
    collection = Collection(home)
    wild = asked.wildcards or drawing.every or asked.wildcard_seed is not None
    if asked.template is not None:
        template = _template(given, asked, collection, wild=wild)
        text = template.filled(asked.values(), lists=collection.lists if wild else None)
        notes = () if wild else _wild_values(asked)
        worded = _resolved(text, asked, collection, drawing)
        notes = (*notes, *worded.notes)
        return Worded(
            texts=worded.texts,
            notes=notes,
            wildcard_seed=worded.wildcard_seed,
            template=template,
            is_resolved=True,
        )
    if asked.params:
        raise refused("param", asked.params[0], "belongs to a template: add -t NAME")
    prompt = prompt_of(given, asked, stdin_taken=drawing.stdin_taken)
    text = prompt if isinstance(prompt, str) else prompt.render()
    if wild:
        return _resolved(text, asked, collection, drawing)
    notes = ()
    if looks_wild(text):
        notes = ("wildcards in the prompt are sent as written; --wildcards resolves them",)
    composed = not isinstance(prompt, str)
    return Worded(texts=(text,) * drawing.number, notes=notes, is_resolved=composed)


def concerns(text: str, plan: Plan, tokens: int | None = None) -> tuple[Concern, ...]:
    """What is probably not meant in a prompt, for the picture that is planned.

    Args:
        tokens: as counted upstream; None estimates them.
    """
    exports = (str(e.pixels) for e in plan.exports if e.pixels)
    pixels = [str(plan.expected)] if plan.expected else []
    asked = Asked(
        size=plan.size,
        pixels=(*pixels, *exports),
        tokens=text_tokens(text) if tokens is None else tokens,
        most_tokens=catalogue().models[plan.model].can.input_tokens,
    )
    return lint(text, asked)


def concern_facts(found: Sequence[Concern]) -> list[dict[str, str]]:
    """Warnings for a program."""
    return [{"code": c.code, "message": c.message, "remedy": c.remedy} for c in found]


def total(plans: Sequence[Plan]) -> Mapping[str, int]:
    """The estimate of all plans together, in micro-dollars."""
    return {
        "low_micro": sum(p.estimate.low for p in plans),
        "expected_micro": sum(p.estimate.expected for p in plans),
        "high_micro": sum(p.estimate.high for p in plans),
    }


def on_one_line(text: str) -> str:
    """Text as one line for the person watching."""
    return " ".join(text.split())


def refused(name: str, value: str, message: str) -> InvalidRequest:
    """An error about one option."""
    return InvalidRequest([Problem(field=name, value=value, message=message)])


def _template(given: str | None, asked: Wording, collection: Collection, *, wild: bool) -> Template:
    word = asked.template or ""
    if given is not None:
        message = f"is given besides the template {word}; fill the template with -p NAME=VALUE"
        raise refused("prompt", given, message)
    if asked.prompt_file is not None:
        raise refused("prompt_file", str(asked.prompt_file), "is given besides a template")
    sections, negative = asked.sections(), tuple(asked.negative)
    if not wild:
        sections = {name: escape(text) for name, text in sections.items()}
        negative = tuple(escape(text) for text in negative)
    return collection.find(word).with_sections(sections, negative)


def _resolved(text: str, asked: Wording, collection: Collection, drawing: Drawing) -> Worded:
    tree = parse(text)
    lists = collection.lists
    if drawing.every:
        texts = every(tree, lists, most=MOST_TEXTS)
        same = len(texts) - len(set(texts))
        notes = (f"{same} of the {len(texts)} combinations are the same text as another",)
        return Worded(texts=texts, notes=notes if same else (), is_resolved=True)
    if tree.is_plain:
        return Worded(texts=(expand(tree, 0),) * drawing.number, is_resolved=True)
    seed = drawing.seed if asked.wildcard_seed is None else asked.wildcard_seed
    chosen = _made_up(drawing.key) if seed is None else seed
    texts = tuple(expand(tree, chosen + i, lists) for i in range(drawing.number))
    ways = count(tree, lists)
    said = f"wildcards resolved with seed {chosen}"
    if seed is None:
        said = f"{said}, made up; --wildcard-seed {chosen} repeats them"
    if drawing.number > ways:
        said = f"{said}; there are only {ways} combinations for {drawing.number} pictures"
    return Worded(texts=texts, notes=(said,), wildcard_seed=chosen, is_resolved=True)


def _made_up(key: str | None) -> int:
    if key is None:
        return secrets.randbelow(SEEDS)
    return (
        int.from_bytes(hashlib.sha256(key.encode(errors="surrogatepass")).digest()[:8], "big")
        % SEEDS
    )


def _wild_values(asked: Wording) -> tuple[str, ...]:
    wild = [name for name, value in asked.values().items() if looks_wild(value)]
    if not wild:
        return ()
    return (f"wildcards in {', '.join(wild)} are taken as written; --wildcards resolves them",)


def prompt_of(given: str | None, asked: Source, *, stdin_taken: bool = False) -> str | Structured:
    """The prompt without a template: as one text, or in sections where any was given.

    Raises:
        InvalidRequest: it is missing, given twice, or its file cannot be used.
    """
    sections, negative = asked.sections(), tuple(asked.negative)
    path = asked.prompt_file
    if given is not None and path is not None:
        raise refused("prompt", given, "is given twice: as an argument and as a file")
    if path is not None and is_document(path):
        document = read_document(path)
        if "prompt" in document:
            raise refused("prompt_file", str(path), f"is a template: use it with -t {path}")
        return read_structured({**document, **sections}).changed({}, negative)
    if "subject" in sections and (given is not None or path is not None):
        raise refused("subject", sections["subject"], "is given besides a prompt")
    if not sections and not negative:
        return _plain(given, path, stdin_taken=stdin_taken)
    if "subject" not in sections:
        sections["subject"] = _plain(given, path, stdin_taken=stdin_taken)
    return read_structured({**sections, "negative": list(negative)})


def _plain(given: str | None, path: Path | None, *, stdin_taken: bool) -> str:
    if path is not None and str(path) != "-":
        try:
            with path.open(encoding="utf-8") as file:
                text = file.read(MOST_LETTERS + 1)
        except (OSError, ValueError) as error:
            raise refused("prompt_file", str(path), f"cannot be read ({error})") from error
        if len(text) > MOST_LETTERS:
            raise refused("prompt_file", str(path), TOO_LONG)
        return text.strip()
    if given is not None:
        return given
    if stdin_taken:
        raise refused("prompt", "-", "cannot come from standard input together with an image")
    if sys.stdin.isatty():
        raise refused("prompt", "", 'is missing: heliograph generate "A snow leopard"')
    return from_stdin("prompt")


def from_stdin(field: str) -> str:
    """The words that come in on standard input.

    Raises:
        InvalidRequest: they are no prompt any more, or no text.
    """
    try:
        text = sys.stdin.read(MOST_LETTERS + 1)
    except UnicodeDecodeError as error:
        raise refused(field, "-", f"is no text ({error})") from error
    if len(text) > MOST_LETTERS:
        raise refused(field, "-", TOO_LONG)
    return text.strip()
