"""Thought signatures; invariant: no state, since a signature carries its own proof of origin.

A signature is pseudo-random filler followed by a keyed MAC over it. The key is a constant, so that
signatures outlive the process as Google's do; it guards against mistakes, not against attackers.
Rules and texts: shared facts section 4. "Corrupted thought signature." is the text of many public
reports (google-gemini/gemini-cli #13467).
"""

import hashlib
import hmac
import random
from typing import Any, Literal

from heliograph.emulator.envelope import ApiError, invalid
from heliograph.emulator.protojson import decode_base64

BYPASS = ("context_engineering_is_the_way_to_go", "skip_thought_signature_validator")

_KEY = b"heliograph emulator thought signature"
_MAC_BYTES = 32
# 1.1 to 2.9 million base64 characters were seen on image and text parts (section 13).
_REALISTIC_BYTES = (825_000, 2_175_000)
# Seen at 1K. A whole 4K answer was one line of 29.7 MB around a picture of 5 to 12 MB (sections 9
# and 13), so the signatures of larger pictures must be longer.
_PIXELS_A_WEIGHT = 3_300_000
_SHORT_BYTES = (180, 300)
_BYPASS_BYTES = frozenset(form for word in BYPASS for form in (word.encode(), decode_base64(word)))

Kind = Literal["Image", "Text"]


def weight_of(pixels: int) -> int:
    """How many times longer than at 1K the signatures of a picture of this area are."""
    return max(1, round(pixels / _PIXELS_A_WEIGHT))


def sign(seed: str, *, short: bool = False, weight: int = 1) -> bytes:
    """A signature of believable length, the same for the same seed."""
    source = random.Random(seed)  # noqa: S311 - filler, not a secret
    length = source.randint(*(_SHORT_BYTES if short else _REALISTIC_BYTES))
    length *= 1 if short else weight
    filler = source.randbytes(length)
    return filler + _mac(filler)


def genuine(signature: bytes) -> bool:
    """Whether these exact bytes came from `sign`, or are a documented bypass."""
    if signature in _BYPASS_BYTES:
        return True
    filler, mac = signature[:-_MAC_BYTES], signature[-_MAC_BYTES:]
    return hmac.compare_digest(_mac(filler), mac)


def check_history(contents: list[dict[str, Any]]) -> None:
    """Raise Google's 400 for model turns whose signatures are missing or altered."""
    text_signed = False
    for position, content in enumerate(contents, start=1):
        if content.get("role") != "model":
            text_signed = False
            continue
        for place, part in enumerate(content.get("parts", ()), start=1):
            kind = _signed_kind(part, text_signed=text_signed)
            if kind == "Text":
                text_signed = True
            signature = part.get("thought_signature")
            if signature and not genuine(signature):
                raise invalid("Corrupted thought signature.")
            if kind and not signature:
                raise _missing(kind, position, place)


def _signed_kind(part: dict[str, Any], *, text_signed: bool) -> Kind | None:
    if part.get("thought"):
        return None
    if "inline_data" in part:
        return "Image"
    return "Text" if part.get("text") and not text_signed else None


def _missing(kind: Kind, position: int, place: int) -> ApiError:
    return invalid(
        f"{kind} part is missing a thought_signature in content position {position}, part position "
        f"{place}. Please refer to "
        "https://ai.google.dev/gemini-api/docs/thought-signatures#model-behavior for more details."
    )


def _mac(filler: bytes) -> bytes:
    return hmac.new(_KEY, filler, hashlib.sha256).digest()
