"""`heliograph prompts`: find, show, save and try prompts, templates and wildcards.

Invariant: nothing here makes a picture or costs money; `--count-tokens` alone asks the upstream.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, cast

from cyclopts import App, Group, Parameter

from heliograph.cli import examples
from heliograph.cli.ask import Flag
from heliograph.cli.estimate import total_line
from heliograph.cli.screen import facts_lines, note, print_json, print_lines, print_table
from heliograph.cli.session import open_client, open_library, run_with
from heliograph.cli.wording import (
    MOST_TEXTS,
    Drawing,
    Source,
    Worded,
    Wording,
    concern_facts,
    concerns,
    gather,
    on_one_line,
    prompt_of,
    refused,
    total,
)
from heliograph.client import AsyncHeliograph
from heliograph.money import dollars
from heliograph.options import Options
from heliograph.planning import catalogue
from heliograph.planning.price import text_tokens
from heliograph.prompts import (
    SECTIONS,
    Collection,
    Template,
    Variable,
    matches,
    places,
)
from heliograph.settings import load_settings
from heliograph.types import Plan

app = App(
    name="prompts",
    help="Find, show, save and try prompts, templates and wildcards.",
    help_format="plaintext",
    help_epilogue=examples(
        "heliograph prompts list",
        'heliograph prompts try -t product-shot -p product="luxury watch"',
    ),
    result_action="return_value",
)

OUTPUT = Group("Output", sort_key=0)
SOURCE = Source()
Json = Annotated[Flag, Parameter(group=OUTPUT)]
Home = Annotated[Path | None, Parameter(group=OUTPUT)]


@app.default
@app.command(
    name="list",
    help_epilogue=examples("heliograph prompts list", "heliograph prompts list --search poster"),
)
def list_(*, search: str = "", json: Json = False, home: Home = None) -> int:
    """List the prompts: your own, and those that come along.

    Args:
        search: Only those with all of these words in their name, tags, text or variables.
        json: Print as JSON.
        home: Folder of the library, with your prompts and word lists.
    """
    collection = _collection(home)
    every, wrong = collection.all()
    found = [template for template in every if matches(template, search)]
    lists = collection.lists.names()
    for error in wrong:
        note(f"note: {error.why}")
    if json:
        print_json({"prompts": [_facts(t) for t in found], "word_lists": list(lists)})
        return 0
    if not found:
        note(f"No prompt has all the words of {search!r}; `heliograph prompts list` shows all.")
        return 0
    print_table(
        ["name", "what it is", "needs", "ratio", "from"],
        [[t.name, t.title or t.text[:40], _needs(t), t.aspect or "", t.origin] for t in found],
    )
    if not search:
        print_lines(["", f"Word lists: {', '.join(f'__{name}__' for name in lists)}"])
    return 0


@app.command(help_epilogue=examples("heliograph prompts show product-shot"))
def show(name: str, /, *, json: Json = False, home: Home = None) -> int:
    """Show a prompt: its text, its variables, and how to use it.

    Args:
        name: Its name, or its file.
        json: Print as JSON.
        home: Folder of the library, with your prompts and word lists.
    """
    template = _collection(home).find(name)
    if json:
        print_json(_facts(template))
    else:
        print_lines(_words(template))
    return 0


@app.command(
    help_epilogue=examples(
        "heliograph prompts new fox 'A ${colour} fox in {snow|rain}' -p colour=red",
        'heliograph prompts new watch -t product-shot -p product="luxury watch"',
        'heliograph prompts new harbour --subject "A harbour" --negative people',
    )
)
def new(
    name: str,
    prompt: str | None = None,
    /,
    *,
    title: Annotated[str, Parameter(group=OUTPUT)] = "",
    about: Annotated[str, Parameter(group=OUTPUT)] = "",
    tag: Annotated[list[str] | None, Parameter(group=OUTPUT, negative="")] = None,
    aspect: Annotated[str | None, Parameter(group=OUTPUT)] = None,
    force: Annotated[Flag, Parameter(group=OUTPUT)] = False,
    json: Json = False,
    home: Home = None,
    source: Source = SOURCE,
) -> int:
    """Save a prompt under a name, from a text, from sections, or from a template.

    A ${place} in it becomes a variable; -p sets its default. The file may be edited by hand.

    Args:
        name: What it is to be called: letters, digits, - and _.
        prompt: Its text. Default: the template's, or standard input.
        title: What it is, in a few words.
        about: When to use it.
        tag: A word to find it by; repeatable.
        aspect: The ratio it is made for, such as 4:5.
        force: Replace a prompt of that name.
        json: Print as JSON.
        home: Folder of the library, with your prompts and word lists.
    """
    collection = _collection(home)
    template = _draft(name, prompt, source, collection)
    template = replace(
        template,
        name=name,
        title=title or template.title,
        about=about or template.about,
        tags=tuple(tag or template.tags),
        aspect=aspect or template.aspect,
    )
    path = collection.save(template, force=force)
    saved = collection.find(name)
    if json:
        print_json({**_facts(saved), "path": str(path)})
        return 0
    note(f"Try it: {_example('prompts try', saved)}")
    print_lines([str(path)])
    return 0


@app.command(
    name="try",
    help_epilogue=examples(
        'heliograph prompts try "A {red|blue} fox, __light__" --seed 7',
        'heliograph prompts try -t product-shot -p product="luxury watch"',
        "heliograph prompts try '{2$$fog|rain|snow} over a {bay|fjord}' --all",
    ),
)
def try_(
    prompt: str | None = None,
    /,
    *,
    seed: Annotated[int | None, Parameter(name=["--seed", "--wildcard-seed"], group=OUTPUT)] = None,
    number: Annotated[int, Parameter(name=["--number", "-n"], group=OUTPUT)] = 1,
    all: Annotated[Flag, Parameter(name=["--all", "--combinations"], group=OUTPUT)] = False,  # noqa: A002
    count_tokens: Annotated[Flag, Parameter(group=OUTPUT)] = False,
    model: Annotated[str | None, Parameter(name=["--model", "-m"], group=OUTPUT)] = None,
    size: Annotated[str | None, Parameter(name=["--size", "-s"], group=OUTPUT)] = None,
    aspect: Annotated[str | None, Parameter(name=["--aspect", "-a"], group=OUTPUT)] = None,
    json: Json = False,
    home: Home = None,
    source: Source = SOURCE,
) -> int:
    """Show what a prompt becomes: its text with everything resolved, warnings, tokens, cost.

    Args:
        prompt: The text; wildcards in it are resolved. Default: standard input.
        seed: Seed of the choices. Default: a random one, which is told.
        number: How many texts, each with the next seed.
        all: Every combination of the wildcards, 100 at most.
        count_tokens: Have the model count the tokens, at no cost; otherwise they are estimated.
        model: Model id; see `heliograph models`.
        size: Size tier, for the cost and for warnings.
        aspect: Ratio, such as 16:9.
        json: Print as JSON.
        home: Folder of the library, with your prompts and word lists.
    """
    if not 1 <= number <= MOST_TEXTS or (all and number != 1):
        message = "contradicts --all" if all else f"must be from 1 to {MOST_TEXTS}"
        raise refused("number", str(number), message)
    asked = Wording(**vars(source), wildcards=True, wildcard_seed=seed)
    given = {"model": model, "size": size, "aspect": aspect}
    options = cast("Options", {name: word for name, word in given.items() if word is not None})

    async def work(client: AsyncHeliograph) -> tuple[Worded, list[Plan], Mapping[str, int]]:
        worded = gather(prompt, asked, client.settings.home, Drawing(number=number, every=all))
        worded = replace(worded, notes=(*worded.notes, *worded.suggest(options)))
        plans = [await client.plan(text, **options) for text in worded.texts]
        counted = await _count(client, worded, plans[0].model) if count_tokens else {}
        return worded, plans, counted

    client = open_client(simulate=None, home=home) if count_tokens else open_library(home)
    worded, plans, counted = run_with(client, work)
    if json:
        print_json(_tried_facts(worded, plans, counted))
    else:
        by = "the local emulator" if client.settings.simulate else plans[0].model
        print_lines(_tried_lines(worded, plans, counted, by))
    return 0


async def _count(client: AsyncHeliograph, worded: Worded, model: str) -> dict[str, int]:
    return {text: await client.count_tokens(text, model) for text in dict.fromkeys(worded.texts)}


def _tried_lines(
    worded: Worded, plans: Sequence[Plan], counted: Mapping[str, int], by: str
) -> Iterator[str]:
    several = len(worded.texts) > 1
    width = len(str(len(worded.texts)))
    for at, text in enumerate(worded.texts, start=1):
        yield f"{str(at).rjust(width)}  {on_one_line(text)}" if several else on_one_line(text)
    yield ""
    by_text = dict(zip(worded.texts, plans, strict=True))
    found = (str(c) for t, p in by_text.items() for c in concerns(t, p, counted.get(t)))
    yield from (f"Warning: {line}" for line in dict.fromkeys(found))
    yield from (f"Note: {line}" for line in worded.notes)
    tokens = [counted.get(text, text_tokens(text)) for text in by_text]
    most = catalogue().models[plans[0].model].can.input_tokens
    span = f"{min(tokens)} to {max(tokens)}" if min(tokens) != max(tokens) else f"{tokens[0]}"
    how = f"counted by {by}" if counted else "estimated; --count-tokens asks the model"
    size = " ".join(x for x in (plans[0].size, plans[0].aspect) if x)
    estimate = plans[0].estimate
    cost = (
        total_line(plans)
        if several
        else f"{dollars(estimate.expected)} expected, at most {dollars(estimate.high)}"
    )
    yield from facts_lines(
        {
            "Tokens": f"{span} of {most}, {how}",
            "Image": f"{size} on {plans[0].model}",
            "Cost": f"{cost}; nothing was sent",
        }
    )


def _tried_facts(
    worded: Worded, plans: Sequence[Plan], counted: Mapping[str, int]
) -> dict[str, Any]:
    return {
        **worded.facts(),
        "notes": list(worded.notes),
        "model": plans[0].model,
        "size": plans[0].size,
        "aspect": plans[0].aspect,
        "estimate": dict(total(plans)),
        "texts": [
            {
                "text": text,
                "tokens": counted.get(text, text_tokens(text)),
                "tokens_counted": text in counted,
                "prompt_warnings": concern_facts(concerns(text, plan, counted.get(text))),
            }
            for text, plan in zip(worded.texts, plans, strict=True)
        ],
    }


def _draft(name: str, prompt: str | None, source: Source, collection: Collection) -> Template:
    """What is to be saved, before its name and its description."""
    values = source.values()
    if source.template is not None:
        if prompt is not None or source.prompt_file is not None:
            raise refused("prompt", prompt or str(source.prompt_file), "is given besides -t")
        base = collection.find(source.template)
        base = base.with_sections(source.sections(), tuple(source.negative))
    else:
        words = prompt_of(prompt, source)
        text = words if isinstance(words, str) else words.render()
        if not text.strip():
            raise refused("prompt", text, "is empty")
        variables = tuple(Variable(name=one) for one in places(text))
        base = Template(name=name, origin=name, prompt=words, variables=variables)
    unknown = [one for one in values if one not in {v.name for v in base.variables}]
    if unknown:
        raise refused("param", unknown[0], f"has no place ${{{unknown[0]}}} in the prompt")
    return replace(
        base,
        variables=tuple(replace(v, default=values.get(v.name, v.default)) for v in base.variables),
    )


def _collection(home: Path | None) -> Collection:
    return Collection(load_settings(home=home).home)


def _needs(template: Template) -> str:
    return ", ".join(v.name for v in template.variables if v.default is None) or "nothing"


def _words(template: Template) -> Iterator[str]:
    """A template for a person."""
    facts = {
        "Name": template.name,
        "What": template.title,
        "Use": template.about,
        "Ratio": template.aspect or "",
        "Tags": ", ".join(template.tags),
        "From": template.origin,
    }
    yield from facts_lines({name: text for name, text in facts.items() if text})
    yield ""
    if isinstance(template.prompt, str):
        yield on_one_line(template.prompt)
    else:
        sections = {name.capitalize(): getattr(template.prompt, name) for name in SECTIONS}
        sections["Negative"] = ", ".join(template.prompt.negative)
        yield from facts_lines({name: text for name, text in sections.items() if text})
    if template.variables:
        yield ""
        yield "Variables:"
        yield from facts_lines({f"  {v.name}": _variable_words(v) for v in template.variables})
    yield ""
    yield f"Try it: {_example('prompts try', template)}"


def _variable_words(variable: Variable) -> str:
    limits = [
        f"of {' | '.join(variable.choices)}" if variable.choices else "",
        f"from {variable.low}" if variable.low is not None else "",
        f"to {variable.high}" if variable.high is not None else "",
    ]
    kind = " ".join(word for word in (variable.kind, *limits) if word)
    parts = [variable.help, kind if variable.kind != "text" else ""]
    told = "; ".join(part for part in parts if part) or "text"
    default = f" [{variable.default}]" if variable.default is not None else ", needed"
    return f"{told}{default}"


def _example(command: str, template: Template) -> str:
    needed = (v.name for v in template.variables if v.default is None)
    word = template.name if template.origin in ("starter", "yours") else template.origin
    return " ".join((f"heliograph {command} -t {word}", *(f'-p {n}="…"' for n in needed)))


def _facts(template: Template) -> dict[str, Any]:
    """A template for a program."""
    prompt = template.prompt
    sections = None
    if not isinstance(prompt, str):
        sections = {name: getattr(prompt, name) for name in SECTIONS}
        sections["negative"] = list(prompt.negative)
    return {
        "name": template.name,
        "title": template.title,
        "about": template.about,
        "tags": list(template.tags),
        "aspect": template.aspect,
        "from": template.origin,
        "text": template.text,
        "sections": sections,
        "variables": [
            {
                "name": v.name,
                "type": v.kind,
                "help": v.help,
                "default": v.default,
                "choices": list(v.choices),
                "least": str(v.low) if v.low is not None else None,
                "most": str(v.high) if v.high is not None else None,
            }
            for v in template.variables
        ],
    }
