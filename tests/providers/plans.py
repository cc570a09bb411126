"""Plans for provider tests, made by the real planner."""

import hashlib
from typing import Any

from heliograph.planning import plan
from heliograph.types import Pixels, Plan, Reference, Request


def plan_for(prompt: str = "A snow leopard", **fields: Any) -> Plan:
    references = fields.pop("checked_references", ())
    return plan(Request(prompt=prompt, **fields), references)


def reference(data: bytes, name: str = "ref.png") -> Reference:
    return Reference(
        source=data,
        media_type="image/png",
        pixels=Pixels(8, 8),
        size=len(data),
        sha256=hashlib.sha256(data).hexdigest(),
        name=name,
    )
