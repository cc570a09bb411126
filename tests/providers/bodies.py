"""Bodies of the Interactions API, written from the SDK's own types."""

import base64
import json
from pathlib import Path
from typing import Any

from google.genai._gaos.types.interactions.interaction import Interaction

from heliograph.providers.wire import WireReply, read_bytes
from heliograph.types import Timing

ID = "v1_ChdTbWFsbC1sYW1w"


def wire_of(
    body: Any, folder: Path, status: int = 200, headers: dict[str, str] | None = None
) -> WireReply:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    tapped = read_bytes(raw, folder, chunk=7)
    return WireReply(status=status, headers=headers or {}, tapped=tapped, timing=Timing())


def interaction(*steps: Any, status: str = "completed", **fields: Any) -> dict[str, Any]:
    value = {
        "id": ID,
        "status": status,
        "object": "interaction",
        "model": "gemini-3-pro-image",
        "created": "2026-11-22T10:00:00Z",
        "updated": "2026-11-22T10:00:20Z",
        "service_tier": "flex",
        "steps": list(steps),
        **fields,
    }
    # the shape is the SDK's: every step is one of its kinds
    read = Interaction.model_validate(value)
    assert "Unknown" not in repr([type(step) for step in read.steps or []])
    return value


def image(data: bytes, mime_type: str = "image/jpeg") -> dict[str, Any]:
    return {"type": "image", "mime_type": mime_type, "data": base64.b64encode(data).decode()}


def output(*content: Any) -> dict[str, Any]:
    return {"type": "model_output", "content": list(content)}


USAGE = {
    "total_input_tokens": 37,
    "total_output_tokens": 1140,
    "total_thought_tokens": 177,
    "total_tool_use_tokens": 0,
    "total_tokens": 1354,
    "input_tokens_by_modality": [{"modality": "text", "tokens": 37}],
    "output_tokens_by_modality": [{"modality": "image", "tokens": 1120}],
}
WORDS = {"total_input_tokens": 37, "total_output_tokens": 20, "total_tokens": 57}
