"""`heliograph casts`: kept sets of images, for one look across many pictures."""

from pathlib import Path
from typing import Annotated, Any

from cyclopts import App, Parameter

from heliograph.casts import KeptCast
from heliograph.cli import examples
from heliograph.cli.ask import Flag
from heliograph.cli.given import Images
from heliograph.cli.screen import facts_lines, print_json, print_lines, print_table, size_text
from heliograph.cli.session import open_library, run_with
from heliograph.client import AsyncHeliograph
from heliograph.errors import InvalidRequest, Problem

app = App(
    name="casts",
    help="Keep sets of images for one look across many pictures.",
    help_format="plaintext",
    help_epilogue=examples(
        'heliograph casts add mascot fox.png --description "A red fox with a green scarf"',
        'heliograph generate "@mascot rides a bicycle" --cast mascot',
    ),
    result_action="return_value",
)

SHOWN = 60  # characters of a description
Json = Annotated[Flag, Parameter()]


@app.command(
    help_epilogue=examples(
        'heliograph casts add mascot fox.png --description "A red fox with a green scarf"',
        "heliograph casts add team anna=a.png ben=b.png style:look=board.png",
        "heliograph casts add mascot 3f2a91c0 --force",
    )
)
def add(
    name: str,
    /,
    *images: Annotated[str, Parameter(allow_leading_hyphen=True)],
    description: str = "",
    force: Annotated[Flag, Parameter()] = False,
    json: Json = False,
    home: Path | None = None,
) -> int:
    """Keep images under a name; nothing is sent.

    A prompt calls a single one @NAME, several @NAME-1, @NAME-2 and so on, or by names of their own.

    Args:
        name: How the cast is called: letters, digits, - and _.
        images: Files, ids of kept pictures, - or clipboard, each also as [ROLE:][NAME=]IMAGE;
            the role is character unless it says something else.
        description: What the model is told of it each time.
        force: Replace a cast of this name.
        json: Print as JSON.
        home: Folder of the library of originals.
    """
    if not images:
        message = "are missing: heliograph casts add mascot fox.png"
        raise InvalidRequest([Problem(field="images", value="", message=message)])

    async def work(client: AsyncHeliograph) -> KeptCast:
        given = await Images(client).references(images)
        return await client.casts.add(name, given, description=description, force=force)

    kept = run_with(open_library(home), work)
    if json:
        print_json(_cast_facts(kept))
        return 0
    print_lines([*_lines(kept), "", f'Use it: heliograph "@{_first(kept)} …" --cast {kept.name}'])
    return 0


@app.command(name="list", help_epilogue=examples("heliograph casts list"))
def list_(*, json: Json = False, home: Path | None = None) -> int:
    """List the casts, by name.

    Args:
        json: Print as JSON.
        home: Folder of the library of originals.
    """

    async def work(client: AsyncHeliograph) -> list[KeptCast]:
        return list(await client.casts.list())

    casts = run_with(open_library(home), work)
    if json:
        print_json([_cast_facts(cast) for cast in casts])
        return 0
    if not casts:
        print_lines(["There is no cast yet. Try: heliograph casts add mascot fox.png"])
        return 0
    print_table(
        ["name", "images", "description"],
        [[cast.name, str(len(cast.references)), _short(cast.description)] for cast in casts],
        right=("images",),
    )
    return 0


@app.command(help_epilogue=examples("heliograph casts show mascot"))
def show(name: str, /, *, json: Json = False, home: Path | None = None) -> int:
    """Show one cast, its images and what a prompt calls them.

    Args:
        name: The cast.
        json: Print as JSON.
        home: Folder of the library of originals.
    """

    async def work(client: AsyncHeliograph) -> KeptCast:
        return await client.casts.find(name)

    kept = run_with(open_library(home), work)
    if json:
        print_json(_cast_facts(kept))
    else:
        print_lines(_lines(kept))
    return 0


@app.command(help_epilogue=examples("heliograph casts remove mascot"))
def remove(name: str, /, *, json: Json = False, home: Path | None = None) -> int:
    """Forget a cast; its images stay in the library.

    Args:
        name: The cast.
        json: Print as JSON.
        home: Folder of the library of originals.
    """

    async def work(client: AsyncHeliograph) -> None:
        await client.casts.remove(name)

    run_with(open_library(home), work)
    if json:
        print_json({"removed": name})
    else:
        print_lines([f"{name} is forgotten; its images stay in the library."])
    return 0


def _lines(cast: KeptCast) -> list[str]:
    facts = {"Name": cast.name, "Description": cast.description or "none"}
    for number, image in enumerate(cast.references, start=1):
        size = f"{image.pixels}, {size_text(image.size)}"
        facts[f"Image {number}"] = f"@{image.label}  {image.role}, {image.name}, {size}"
    return facts_lines(facts)


def _first(cast: KeptCast) -> str:
    return cast.references[0].label or cast.name


def _cast_facts(cast: KeptCast) -> dict[str, Any]:
    return {
        "name": cast.name,
        "description": cast.description,
        "images": [
            {
                "name": image.label,
                "role": image.role,
                "file": image.name,
                "pixels": str(image.pixels),
                "bytes": image.size,
                "sha256": image.sha256,
                "key": image.key,
            }
            for image in cast.references
        ],
    }


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= SHOWN else line[: SHOWN - 1] + "…"
