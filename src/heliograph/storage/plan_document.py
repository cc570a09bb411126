"""A plan as a JSON document, so that another process can finish its call, and back.

Invariant: everything but the bytes of input images comes back equal; these are named, by SHA-256
and by name, and the name stands in for the place they came from: it is never opened. A document
with fields that this version does not know is refused, a field that was added later has its
default.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from heliograph.storage.document import from_document, to_document
from heliograph.types import Plan


def without_bytes(plan: Plan) -> Plan:
    """The plan as it will be read back: each reference's name in the place of its source."""
    references = tuple(replace(r, source=Path(r.name)) for r in plan.references)
    named: list[Path] = []
    for place, source in enumerate(plan.request.references):
        if place < len(references):
            named.append(Path(references[place].name))
        else:  # planned before the files were read
            named.append(Path(source.name if isinstance(source, Path) else f"{place + 1}"))
    request = replace(plan.request, references=tuple(named))
    return replace(plan, request=request, references=references)


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
