"""Templates: prompts with named, typed places to fill.

A place is `${name}` in any section; `\\${` writes it as it is. What is filled in is text as it was
given: a brace in it is a brace, unless the caller lets values hold wildcards.

Invariant: a template that can be read can be rendered, given its variables; every place has a
variable and every variable a place. All problems are reported together.
"""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any

from heliograph.errors import InvalidRequest, Problem
from heliograph.prompts.reading import Table, decimal, nearest
from heliograph.prompts.structured import SECTIONS, Structured, read_structured
from heliograph.prompts.wildcard import Lists, count, escape, every, parse

KINDS = ("text", "words", "number", "integer", "choice", "colour")
MOST_VARIABLES = 50
MOST_WAYS = 1000  # in which one value may come out
LONGEST = 2000  # characters of a value, unless its variable says less
_SHORTEST, _LONGEST = Decimal(1), Decimal(LONGEST)
_PLACE = re.compile(r"(\\\$\{[^{}]*\})|\\.|\$\{([^{}]*)\}", re.DOTALL)
_VARIABLE = re.compile(r"[a-z][a-z0-9_]{0,39}")
_COLOUR = re.compile(r"#[0-9a-fA-F]{3}(?:[0-9a-fA-F]{3})?|[^\W\d_][\w' -]{1,39}")
_ASPECT = re.compile(r"\d{1,2}:\d{1,2}")
_QUOTES = '"“”„«»'


@dataclass(frozen=True, kw_only=True)
class Variable:
    """One place to fill."""

    name: str
    kind: str = "text"  # one of KINDS; "words" are drawn, so they hold no quotation marks
    help: str = ""  # what belongs there, one sentence
    default: str | None = None  # None: it must be given
    choices: tuple[str, ...] = ()  # of kind "choice"
    low: Decimal | None = None  # least number
    high: Decimal | None = None  # greatest number
    longest: int = LONGEST  # characters

    def wrong(self, value: str) -> tuple[str, tuple[str, ...]] | None:
        """What is wrong with a value, and what is valid near it; None when it is fine."""
        if len(value) > self.longest:
            return f"has {len(value)} characters; at most {self.longest} fit", ()
        if not value.strip():
            return "is empty", ()
        match self.kind:
            case "choice" if value not in self.choices:
                return "is none of the choices", nearest(value, self.choices)
            case "words" if any(q in value for q in _QUOTES) or "\n" in value:
                return "is drawn, so it is one line without quotation marks", ()
            case "colour" if not _COLOUR.fullmatch(value):
                return "is no colour", ("#1f6feb", "deep teal")
            case "number" | "integer":
                return self._wrong_number(value)
        return None

    def _wrong_number(self, value: str) -> tuple[str, tuple[str, ...]] | None:
        number = decimal(value)
        if number is None or (self.kind == "integer" and number != number.to_integral_value()):
            return f"is no {'whole ' if self.kind == 'integer' else ''}number", ()
        if self.low is not None and number < self.low:
            return f"is less than {self.low}", (str(self.low),)
        if self.high is not None and number > self.high:
            return f"is more than {self.high}", (str(self.high),)
        return None


@dataclass(frozen=True, kw_only=True)
class Template:
    """A prompt to fill and use again."""

    name: str
    origin: str  # "starter", "yours", or the path of a file
    title: str = ""
    about: str = ""  # when to use it, one or two sentences
    tags: tuple[str, ...] = ()
    aspect: str | None = None  # the ratio it is made for
    prompt: Structured | str
    variables: tuple[Variable, ...] = ()

    @property
    def text(self) -> str:
        """The prompt as one text, places and wildcards as written."""
        return self.prompt if isinstance(self.prompt, str) else self.prompt.render()

    def filled(self, values: Mapping[str, str], *, lists: Lists | None = None) -> str:
        """The text with its places filled: a text with wildcards, to be expanded.

        Args:
            values: by name of variable.
            lists: values may hold wildcards, with these word lists; each way that they can come
                out is checked. Without it values come out as they are.

        Raises:
            InvalidRequest: lists every value that is missing, unknown or wrong.
        """
        known = {variable.name: variable for variable in self.variables}
        problems = [_unknown(name, values[name], known) for name in values if name not in known]
        filled: dict[str, str] = {}
        for variable in self.variables:
            value = values.get(variable.name)
            if value is None:
                if variable.default is None:
                    problems.append(_missing(variable))
                filled[variable.name] = variable.default or ""
                continue
            ways = (value,) if lists is None else _ways(variable, value, lists)
            wrong = ((one, variable.wrong(one)) for one in ways)
            problems += [_problem(variable.name, one, *said) for one, said in wrong if said]
            filled[variable.name] = escape(value) if lists is None else value
        if problems:
            shown = f"`heliograph prompts show {self.name}` lists what {self.name} takes."
            raise InvalidRequest(problems, remedy=shown)
        return _fill(self.text, filled)

    def with_sections(self, sections: Mapping[str, str], negative: tuple[str, ...]) -> "Template":
        """The same with other sections.

        Raises:
            InvalidRequest: its prompt is one text and has no sections, or a section that is
                taken away held the only place of a variable that must be given.
        """
        if not sections and not negative:
            return self
        if isinstance(self.prompt, str):
            name = next(iter(sections), "negative")
            message = f"cannot be changed: {self.name} is one text without sections"
            raise InvalidRequest([Problem(field=name, value="", message=message)])
        changed = replace(self, prompt=self.prompt.changed(sections, negative))
        used = set(places(changed.text))
        kept = tuple(v for v in self.variables if v.name in used)
        return replace(changed, variables=kept)


def places(text: str) -> tuple[str, ...]:
    """The names in `${…}`, each once, in order."""
    names = (found[2] for found in _PLACE.finditer(text) if found[2] is not None)
    return tuple(dict.fromkeys(names))


def _ways(variable: Variable, value: str, lists: Lists) -> tuple[str, ...]:
    tree = parse(value, field=variable.name)
    if variable.kind == "text" and count(tree, lists) > MOST_WAYS:
        return ()  # any text will do, unless it is very long
    return every(tree, lists, most=MOST_WAYS)


def _fill(text: str, values: Mapping[str, str]) -> str:
    def one(found: re.Match[str]) -> str:
        if found[1] is not None:
            return escape(found[1][1:])  # \\${name} is meant as it is
        return found[0] if found[2] is None else values[found[2]]

    return _PLACE.sub(one, text)


def read_template(document: Mapping[str, Any], *, name: str, origin: str) -> Template:
    """A template from a document.

    Raises:
        InvalidRequest: lists every problem.
    """
    problems: list[Problem] = []
    table = Table(document, "", problems)
    words = {key: table.text(key) or "" for key in ("title", "about", "aspect")}
    tags = table.texts("tags")
    prompt = _prompt(table)
    variables = _variables(table)
    table.refuse_others()
    if words["aspect"] and not _ASPECT.fullmatch(words["aspect"]):
        table.problem("aspect", words["aspect"], "is no ratio", ("1:1", "16:9", "4:5"))
    if prompt is not None:
        text = prompt if isinstance(prompt, str) else prompt.render()
        problems += _misplaced(places(text), variables)
    if problems or prompt is None:
        raise InvalidRequest(problems, remedy=f"Correct {origin}; nothing was sent.")
    template = Template(
        name=name,
        origin=origin,
        title=words["title"],
        about=words["about"],
        tags=tags,
        aspect=words["aspect"] or None,
        prompt=prompt,
        variables=variables,
    )
    _try_wildcards(template)
    return template


def _prompt(table: Table) -> Structured | str | None:
    value = table.raw("prompt")
    if isinstance(value, str) and value.strip():
        return value.strip()
    if isinstance(value, Mapping):
        try:
            return read_structured(value, where="prompt")
        except InvalidRequest as error:
            table.problems += error.problems
            return None
    message = f"is needed: a text, or a table with {', '.join(SECTIONS)} and negative"
    table.problem("prompt", value or "", message)
    return None


def _variables(table: Table) -> tuple[Variable, ...]:
    values = table.raw("variables")
    if values is None:
        return ()
    if not isinstance(values, Mapping) or len(values) > MOST_VARIABLES:
        table.problem("variables", values, f"must be a table of at most {MOST_VARIABLES} tables")
        return ()
    return tuple(_variable(name, value, table) for name, value in values.items())


def _variable(name: str, values: Any, above: Table) -> Variable:
    where = f"variables.{name}"
    if not _VARIABLE.fullmatch(name):
        message = "is no name: small letters, digits and _, 40 characters at most"
        above.problem("variables", name, message)
    if not isinstance(values, Mapping):
        above.problem(where, values, 'must be a table, such as { type = "text" }')
        return Variable(name=name)
    table = Table(values, where, above.problems)
    kind = table.text("type") or "text"
    if kind not in KINDS:
        table.problem("type", kind, "is no type", nearest(kind, KINDS))
    default = table.raw("default")
    if isinstance(default, int | float) and not isinstance(default, bool):
        default = str(table.number("default"))
    longest = table.number("longest")
    variable = Variable(
        name=name,
        kind=kind,
        help=table.text("help") or "",
        default=default if default is None or isinstance(default, str) else table.text("default"),
        choices=table.texts("choices"),
        low=table.number("least"),
        high=table.number("most"),
        longest=LONGEST if longest is None else int(min(max(longest, _SHORTEST), _LONGEST)),
    )
    table.refuse_others()
    if (kind == "choice") != bool(variable.choices):
        table.problem("choices", "", "belong to the type choice, which needs them")
    elif variable.default:  # an empty one leaves its place empty
        wrong = variable.wrong(variable.default)
        if wrong:
            table.problem("default", variable.default, *wrong)
    return variable


def _misplaced(used: Iterable[str], variables: tuple[Variable, ...]) -> list[Problem]:
    names = {variable.name for variable in variables}
    lost = [
        Problem(
            field="prompt",
            value=f"${{{name}}}",
            message="is no variable; define it under variables, or write \\${ for the text",
            nearest=tuple(f"${{{n}}}" for n in nearest(name, sorted(names))),
        )
        for name in used
        if name not in names
    ]
    idle = [
        Problem(field=f"variables.{name}", value=name, message="is used nowhere in the prompt")
        for name in sorted(names - set(used))
    ]
    return [*lost, *idle]


def _try_wildcards(template: Template) -> None:
    """Braces that do not close are found when a template is read, not when it is used."""
    filled = _fill(template.text, dict.fromkeys(places(template.text), "x"))
    parse(filled, field=f"prompt of {template.name}")


def to_toml(template: Template) -> str:
    """The template as a document that `read_template` reads back."""
    lines = [f"{key} = {_quoted(getattr(template, key))}" for key in ("title", "about")]
    lines.append(f"tags = [{', '.join(map(_quoted, template.tags))}]")
    if template.aspect:
        lines.append(f"aspect = {_quoted(template.aspect)}")
    if isinstance(template.prompt, str):
        lines += ["", f"prompt = {_quoted(template.prompt)}"]
    else:
        lines += ["", "[prompt]"]
        sections = ((name, getattr(template.prompt, name)) for name in SECTIONS)
        lines += [f"{name} = {_quoted(text)}" for name, text in sections if text]
        if template.prompt.negative:
            lines.append(f"negative = [{', '.join(map(_quoted, template.prompt.negative))}]")
    for variable in template.variables:
        lines += ["", f"[variables.{variable.name}]", f"type = {_quoted(variable.kind)}"]
        lines += [f"{key} = {value}" for key, value in _optional(variable)]
    return "\n".join(lines) + "\n"


def _optional(variable: Variable) -> Iterable[tuple[str, str]]:
    if variable.help:
        yield "help", _quoted(variable.help)
    if variable.choices:
        yield "choices", f"[{', '.join(map(_quoted, variable.choices))}]"
    if variable.low is not None:
        yield "least", str(variable.low)
    if variable.high is not None:
        yield "most", str(variable.high)
    if variable.longest != LONGEST:
        yield "longest", str(variable.longest)
    if variable.default is not None:
        yield "default", _quoted(variable.default)


def _quoted(text: str) -> str:
    """A basic string of TOML, which JSON's strings are, but for DEL."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def _missing(variable: Variable) -> Problem:
    about = variable.help or variable.kind
    if variable.choices:
        about = f"one of {', '.join(variable.choices)}"
    return Problem(field="param", value=variable.name, message=f"is needed: {about}")


def _unknown(name: str, value: str, known: Iterable[str]) -> Problem:
    close = tuple(f"{n}=" for n in nearest(name, known))
    return Problem(
        field="param", value=f"{name}={value[:80]}", message="is no variable here", nearest=close
    )


def _problem(name: str, value: str, message: str, close: tuple[str, ...]) -> Problem:
    return Problem(
        field="param",
        value=f"{name}={value[:80]}",
        message=message,
        nearest=tuple(f"{name}={c}" for c in close),
    )
