"""A sample record from the golden sidecar, and images whose keys tell the truth."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from heliograph.ledger import default_scopes
from heliograph.storage import blob_key, record_from_json
from heliograph.types import KeptImage, LedgerLine, Record, Role

GOLDEN = Path(__file__).with_name("record_v1.json")


@dataclass(frozen=True, kw_only=True)
class Call:
    """What `keep` takes."""

    record: Record
    lines: tuple[LedgerLine, ...]
    files: Mapping[str, Path]


NewCall = Callable[..., Call]


@pytest.fixture
def new_call(tmp_path: Path) -> NewCall:
    """Builds calls with a draft, a result and signatures, all spooled."""
    sample, (line,) = record_from_json(GOLDEN.read_bytes())
    spool = tmp_path / "spooled"
    spool.mkdir()

    def spooled(data: bytes, suffix: str) -> tuple[str, Path]:
        sha = hashlib.sha256(data).hexdigest()
        path = spool / f"{sha}{suffix}"
        path.write_bytes(data)
        return blob_key(sha, suffix), path

    def build(record_id: str, *, roles: tuple[Role, ...] = tuple(Role), **changes: Any) -> Call:
        files: dict[str, Path] = {}
        images: list[KeptImage] = []
        for role in roles:
            data = f"{record_id} {role}".encode() * 500
            key, path = spooled(data, ".jpg")
            signature, signature_path = spooled(data[::-1], ".sig")
            files |= {key: path, signature: signature_path}
            sha = hashlib.sha256(data).hexdigest()
            image = replace(sample.images[0], sha256=sha, key=key, size=len(data), role=role)
            images.append(replace(image, signature_key=signature))
        record = replace(sample, id=record_id, images=tuple(images), **changes)
        settle = replace(line, entry_id=f"{record_id}-settle", record_id=record_id)
        scopes = default_scopes(record.created)
        settle = replace(settle, at=record.created, scopes=scopes)
        return Call(record=record, lines=(settle,), files=files)

    return build
