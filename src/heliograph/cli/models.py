"""`heliograph models`: what each model can do and what it costs."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from heliograph.cli import examples
from heliograph.cli.ask import Flag
from heliograph.cli.screen import facts_lines, print_json, print_lines, print_table
from heliograph.errors import InvalidRequest, Problem
from heliograph.money import dollars
from heliograph.planning import Model, catalogue, estimate
from heliograph.planning.nearest import names as nearest_names
from heliograph.planning.normalise import model as spelled

app = App(
    name="models",
    help="Show what each model can do and what it costs.",
    help_format="plaintext",
    help_epilogue=examples("heliograph models", "heliograph models show gemini-3-pro-image"),
    result_action="return_value",
)


@app.command(help_epilogue=examples("heliograph models show gemini-3-pro-image"))
def show(model: str, /, *, json: Annotated[Flag, Parameter()] = False) -> int:
    """Show everything that is known of one model, with the day it was checked.

    Args:
        model: Its id.
        json: Print as JSON.
    """
    models = catalogue().models
    found = models.get(spelled(model))
    if found is None:
        problem = Problem(
            field="model",
            value=model,
            message="is not known",
            nearest=nearest_names(model, list(models))[:3],
        )
        raise InvalidRequest([problem])
    if json:
        print_json(_facts(found))
    else:
        print_lines(facts_lines(_words(found)))
    return 0


@app.default
@app.command(
    name="list", help_epilogue=examples("heliograph models list", "heliograph models list --all")
)
def list_(
    *,
    all: Flag = False,  # noqa: A002 - the option's name
    json: Annotated[Flag, Parameter()] = False,
) -> int:
    """List the models: sizes, ratios, prices. Facts carry the day they were checked.

    Args:
        all: Also retired models, with what replaces them.
        json: Print as JSON.
    """
    facts = catalogue()
    chosen = list(facts.models.values()) if all else list(facts.live)
    if json:
        print_json([_facts(m) for m in chosen])
        return 0
    print_table(
        ["model", "name", "status", "sizes", "ratios", "largest from", "references", "search"],
        [_row(m) for m in chosen],
        right=("ratios", "largest from", "references"),
    )
    return 0


def _row(model: Model) -> list[str]:
    return [
        model.id,
        model.name,
        _status(model),
        " ".join(model.can.sizes),
        str(len(model.can.ratios)),
        _price(model, model.largest) if model.status == "live" else "",
        str(model.can.references),
        ", ".join(model.can.grounding) or "no",
    ]


def _status(model: Model) -> str:
    if model.status == "live":
        return "live"
    ended = f"since {model.shut_down}" if model.shut_down else ""
    use = f"use {model.replacement}" if model.replacement else ""
    return ", ".join(x for x in (f"{model.status} {ended}".strip(), use) if x)


def _price(model: Model, size: str) -> str:
    return dollars(estimate(model.id, size).low)


def _words(model: Model) -> dict[str, str]:
    facts = catalogue()
    row = facts.price(model.id)
    words = {
        "Model": f"{model.id} ({model.name})",
        "Status": _status(model),
        "Released": model.released,
        "Sizes": " ".join(model.can.sizes),
        "Ratios": " ".join(model.can.ratios),
    }
    for size in model.can.sizes:
        words[f"{size} pixels"] = ", ".join(
            f"{ratio} {facts.expected(model, size, ratio)}" for ratio in model.can.ratios
        )
    words |= {
        "References": f"up to {model.can.references} ({model.can.reference_split})",
        "Thinking": " ".join(model.can.thinking_levels) or "none",
        "Search": ", ".join(model.can.grounding) or "no",
        "Output": model.can.output,
    }
    if row is not None:
        for tier in row.tiers:
            words[f"Price {tier}"] = ", ".join(
                f"{size} {dollars(estimate(model.id, size, tier).low)}" for size in model.can.sizes
            )
        words["Price row"] = f"{row.version}: {row.source}"
    words["Source"] = f"{model.source}, checked {model.checked} ({model.confidence})"
    return words


def _facts(model: Model) -> dict[str, Any]:
    facts = catalogue()
    row = facts.price(model.id)
    return {
        "id": model.id,
        "name": model.name,
        "status": model.status,
        "released": model.released,
        "shut_down": str(model.shut_down) if model.shut_down else None,
        "replacement": model.replacement,
        "sizes": list(model.can.sizes),
        "ratios": list(model.can.ratios),
        "pixels": {
            size: {r: str(facts.expected(model, size, r)) for r in model.can.ratios}
            for size in model.can.sizes
        },
        "references": model.can.references,
        "thinking": list(model.can.thinking_levels),
        "grounding": list(model.can.grounding),
        "image_micro": {
            tier: {size: estimate(model.id, size, tier).low for size in model.can.sizes}
            for tier in (row.tiers if row else ())
        },
        "source": model.source,
        "checked": str(model.checked),
        "confidence": model.confidence,
    }
