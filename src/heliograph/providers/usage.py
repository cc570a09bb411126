"""Token counts out of `usageMetadata`, made safe for the ledger (gemini-api.md 1.5, F50)."""

from collections.abc import Iterable, Mapping
from typing import Any

from heliograph.types import Usage

MAX_TOKENS = 10_000_000  # far above any model's limits; more is an upstream fault


def read_usage(raw: object) -> Usage | None:
    """Usage as reported; None when there is none or it cannot be believed at all.

    A number that is missing counts as 0. A number that is negative, fractional, infinite or
    absurd sets `anomaly` and counts as 0, so that the caller can settle by the price table.
    """
    if not isinstance(raw, Mapping):
        return None
    faults: list[str] = []

    def count(name: str, value: object) -> int:
        if value is None:
            return 0
        if isinstance(value, bool) or not isinstance(value, int) or not 0 <= value <= MAX_TOKENS:
            faults.append(f"{name}={value!r:.40}")
            return 0
        return value

    candidates = count("candidatesTokenCount", raw.get("candidatesTokenCount"))
    images = sum(
        count("candidatesTokensDetails.IMAGE", entry.get("tokenCount"))
        for entry in _entries(raw.get("candidatesTokensDetails"))
        if entry.get("modality") == "IMAGE"
    )
    if images > candidates:
        # the details are the finer statement; the sum must not undercut them
        faults.append(f"image tokens {images} above candidatesTokenCount {candidates}")
        candidates = images
    tier = raw.get("serviceTier")
    return Usage(
        prompt_tokens=count("promptTokenCount", raw.get("promptTokenCount")),
        candidate_tokens=candidates,
        image_tokens=images,
        thought_tokens=count("thoughtsTokenCount", raw.get("thoughtsTokenCount")),
        tool_tokens=count("toolUsePromptTokenCount", raw.get("toolUsePromptTokenCount")),
        tier=tier.lower() if isinstance(tier, str) else None,
        anomaly="; ".join(faults) or None,
    )


def _entries(value: object) -> Iterable[Mapping[str, Any]]:
    return [e for e in value if isinstance(e, Mapping)] if isinstance(value, list) else []
