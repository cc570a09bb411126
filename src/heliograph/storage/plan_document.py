"""A plan as a JSON document, so that another process can finish its call, and back.

Invariant: everything but the bytes of input images, masks and signatures comes back equal; these
are named, by SHA-256 and by name, and the name stands in for the place they came from: it is
never opened. A document with fields that this version does not know is refused, a field that was
added later has its default.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from heliograph.storage.document import from_document, to_document
from heliograph.types import Area, Given, Part, Plan, Reference, Request, Turn


def without_bytes(plan: Plan) -> Plan:
    """The plan as it will be read back: each input image's name in the place of its source."""
    return replace(
        plan,
        request=_named_request(plan.request, tuple(_checked(plan))),
        references=tuple(map(_named, plan.references)),
        history=tuple(map(_named_turn, plan.history)),
        area=None if plan.area is None else _named_area(plan.area),
    )


def plan_to_document(plan: Plan) -> dict[str, Any]:
    """The plan without the bytes of its references, JSON-ready.

    Raises:
        StorageError: something in it has no exact JSON form.
    """
    document: dict[str, Any] = to_document(without_bytes(plan))
    return document


def plan_from_document(document: Mapping[str, Any]) -> Plan:
    """The plan of a document: equal to the one written, as `without_bytes` gives it.

    Raises:
        StorageError: the document is damaged, or of a newer version.
    """
    return from_document(Plan, dict(document))


def request_to_document(request: Request) -> dict[str, Any]:
    """A request whose input images are named by paths, JSON-ready.

    Raises:
        StorageError: something in it has no exact JSON form.
    """
    document: dict[str, Any] = to_document(request)
    return document


def request_from_document(document: Mapping[str, Any]) -> Request:
    """The request of a document.

    Raises:
        StorageError: the document is damaged, or of a newer version.
    """
    return from_document(Request, dict(document))


def _checked(plan: Plan) -> Iterator[Reference]:
    """Whatever planning made of the sources that the request names."""
    yield from plan.references
    if plan.area is not None:
        yield plan.area.picture
        if plan.area.mask is not None:
            yield plan.area.mask


def _named(reference: Reference) -> Reference:
    return replace(reference, source=Path(reference.name))


def _named_request(request: Request, checked: tuple[Reference, ...]) -> Request:
    given: list[Path | Given] = []
    for place, asked in enumerate(request.references, start=1):
        if isinstance(asked, Given):
            given.append(replace(asked, source=_name(asked.source, checked, f"{place}")))
        else:
            given.append(_name(asked, checked, f"{place}"))
    base, mask = request.base, request.mask
    return replace(
        request,
        references=tuple(given),
        verbatim=None,  # what it weighs is in the plan's estimate already
        base=None if base is None else _name(base, checked, "base"),
        mask=None if mask is None else _name(mask, checked, "mask"),
    )


def _name(source: Path | bytes, checked: tuple[Reference, ...], otherwise: str) -> Path:
    """How the checked image of this source is called, or else what the source calls itself."""
    for reference in checked:
        if reference.source == source:
            return Path(reference.name)
    # planned before the files were read, or given a name by nobody
    return Path(source.name if isinstance(source, Path) else otherwise)


def _named_turn(turn: Turn) -> Turn:
    return replace(
        turn,
        references=tuple(map(_named, turn.references)),
        answer=tuple(map(_named_part, turn.answer)),
    )


def _named_part(part: Part) -> Part:
    signature = part.signature
    if signature is not None:
        signature = replace(signature, path=Path(signature.path.name))
    return replace(
        part, image=None if part.image is None else _named(part.image), signature=signature
    )


def _named_area(area: Area) -> Area:
    mask = None if area.mask is None else _named(area.mask)
    return replace(area, picture=_named(area.picture), mask=mask)
