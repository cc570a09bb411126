"""Casts: kept sets of references with a description, for one look across many images.

Invariant: the images of a cast are kept by content, so a cast stays what it was when the files it
was made of are long gone. A cast that is removed or replaced takes no image with it.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from heliograph.calls import Shelf
from heliograph.errors import InvalidRequest, Problem, RecordNotFound, WouldOverwrite
from heliograph.imaging import check_references
from heliograph.material import cast_images, cast_kind, keep_input
from heliograph.planning.wording import NAME
from heliograph.types import ROLES, Given, Reference

LONGEST_DESCRIPTION = 4000  # characters
MOST_IMAGES = 14  # as many as any model takes


@dataclass(frozen=True, kw_only=True)
class KeptCast:
    """One cast as the library keeps it."""

    name: str
    description: str
    references: tuple[Reference, ...]


class Casts:
    """The casts of one library, or of one user of a gateway.

    Args:
        owner: id of that user; names are unique for each.
    """

    def __init__(
        self, open_library: Callable[[], Awaitable[Shelf]], owner: str | None = None
    ) -> None:
        self._open = open_library
        self._kind = cast_kind(owner)

    async def add(
        self,
        name: str,
        references: Sequence[str | Path | bytes | Given],
        *,
        description: str = "",
        force: bool = False,
    ) -> KeptCast:
        """Keep a set of references under a name.

        A single image is called by the cast's own name in prompts (@mascot), several are
        @mascot-1, @mascot-2 …, unless they bring names of their own.

        Args:
            references: files, bytes, or `Given` with role and name; the role is "character"
                unless it says something else.
            force: replace a cast of that name.

        Raises:
            InvalidRequest: the name or an image cannot be used.
            WouldOverwrite: there is a cast of that name, and `force` is not set.
        """
        given = tuple(_given(each) for each in references)
        _check(name, description, given)
        shelf = await self._open()
        card = await shelf.cabinet.card(self._kind, name)
        if card is not None and not force:
            raise WouldOverwrite(
                f"There is a cast called {name} already.",
                remedy="Choose another name, or allow replacing it with force (CLI: --force).",
            )
        checked = await asyncio.to_thread(check_references, [each.source for each in given])
        kept = []
        labels = _labels(name, given)
        for said, reference, label in zip(given, checked, labels, strict=True):
            named = replace(reference, role=said.role or "character", label=label)
            kept.append(await keep_input(named, shelf))
        body = {"description": description.strip(), "references": [_facts(each) for each in kept]}
        await shelf.cabinet.put(self._kind, name, body, version=card.version if card else 0)
        return KeptCast(name=name, description=description.strip(), references=tuple(kept))

    async def list(self) -> Sequence[KeptCast]:
        """All casts, by name."""
        shelf = await self._open()
        cards = await shelf.cabinet.cards(self._kind)
        return [await _kept(card.name, card.body, shelf) for card in cards]

    async def find(self, name: str) -> KeptCast:
        """One cast.

        Raises:
            RecordNotFound: there is none of that name.
        """
        shelf = await self._open()
        card = await shelf.cabinet.card(self._kind, name)
        if card is None:
            raise RecordNotFound(
                f"There is no cast called {name[:40]!r}.",
                remedy="`heliograph casts list` shows them.",
            )
        return await _kept(name, card.body, shelf)

    async def remove(self, name: str) -> None:
        """Forget a cast; its images stay in the library.

        Raises:
            RecordNotFound: there is none of that name.
        """
        await self.find(name)
        await (await self._open()).cabinet.drop(self._kind, name)


def _given(spelled: str | Path | bytes | Given) -> Given:
    if isinstance(spelled, Given):
        return spelled
    return Given(source=Path(spelled) if isinstance(spelled, str) else spelled)


def _labels(name: str, given: Sequence[Given]) -> tuple[str, ...]:
    """How prompts call the images of a cast."""
    numbered = [name] if len(given) == 1 else [f"{name}-{n}" for n in range(1, len(given) + 1)]
    return tuple(said.name or own for said, own in zip(given, numbered, strict=True))


def _check(name: str, description: str, given: Sequence[Given]) -> None:
    problems = []
    if not NAME.fullmatch(name):
        message = "must begin with a letter; then letters, digits, - and _, 40 in all."
        problems.append(Problem(field="name", value=name[:40], message=message))
    if any(0xD800 <= ord(character) <= 0xDFFF for character in description):
        message = "has half a surrogate pair, which cannot be sent as UTF-8."
        problems.append(Problem(field="description", value="text", message=message))
    if len(description) > LONGEST_DESCRIPTION:
        message = f"must be at most {LONGEST_DESCRIPTION} characters."
        problems.append(Problem(field="description", value=description[:40], message=message))
    if not 1 <= len(given) <= MOST_IMAGES:
        message = f"must be 1 to {MOST_IMAGES}."
        problems.append(Problem(field="references", value=f"{len(given)} images", message=message))
    for each in given:
        if each.role is not None and each.role not in ROLES:
            message = "is no role of an image."
            problems.append(
                Problem(field="references", value=each.role, message=message, nearest=ROLES)
            )
    labels = _labels(name, given)
    # of a name that is wrong itself nothing more is said
    for label in labels if NAME.fullmatch(name) else ():
        if not NAME.fullmatch(label):
            message = "is no name for an image; a cast's own name leaves room for -1, -2 …"
            problems.append(Problem(field="references", value=label[:50], message=message))
    names = [label.lower() for label in labels]
    for twice in dict.fromkeys(each for each in names if names.count(each) > 1):
        message = "is the name of two images."
        problems.append(Problem(field="references", value=twice[:50], message=message))
    if problems:
        raise InvalidRequest(problems)


def _facts(reference: Reference) -> dict[str, Any]:
    return {
        "sha256": reference.sha256,
        "key": reference.key,
        "name": reference.name,
        "media_type": reference.media_type,
        "pixels": str(reference.pixels),
        "size": reference.size,
        "role": reference.role,
        "label": reference.label,
    }


async def _kept(name: str, body: Mapping[str, Any], shelf: Shelf) -> KeptCast:
    images = await cast_images(body, shelf)
    return KeptCast(
        name=name, description=str(body.get("description", "")), references=tuple(images)
    )
