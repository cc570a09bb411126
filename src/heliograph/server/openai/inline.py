"""Pictures that are part of a JSON body: data URLs.

Invariant: base64 is read strictly; an address is refused, never fetched.
"""

import binascii
import re

import pybase64

from heliograph.server.faults import TooLarge
from heliograph.server.openai.failures import url_refused

MOST_BYTES = 20 << 20  # of one picture; reliability.md section 6
_HEAD = re.compile(r"data:([a-z]{1,16}/[a-z0-9.+-]{1,64});base64,", re.ASCII | re.IGNORECASE)
_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]{0,30}:", re.ASCII | re.IGNORECASE)
_MARKDOWN = re.compile(
    r"!\[[^\]\n]{0,200}\]\((data:image/[a-z.+-]{1,20};base64,[A-Za-z0-9+/]+={0,2})\)"
)


def decode_data_url(text: str, param: str) -> bytes:
    """The bytes of a data URL.

    Args:
        param: what the member is called, for messages.

    Raises:
        UrlInputsDisabled: it is an address of another kind.
        TooLarge: the picture has too many bytes.
        ValueError: it is no data URL with base64; the words continue "… is".
    """
    head = _HEAD.match(text[:120])
    if head is None:
        if _ADDRESS.match(text) and text[:5].lower() != "data:":
            raise url_refused(param)
        raise ValueError("must be a data: URL of a picture, with base64")
    if not head[1].lower().startswith("image/"):
        raise ValueError("must be a picture")
    if len(text) > (MOST_BYTES + 2) // 3 * 4 + head.end():
        raise too_large(param)
    try:
        data = pybase64.b64decode(text[head.end() :].encode("ascii"), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError("is no valid base64") from error
    if not data:
        raise ValueError("is empty")
    return data


def too_large(param: str) -> TooLarge:
    """The refusal of a picture with too many bytes."""
    return TooLarge(
        "A picture is too large.",
        why=f"Pictures have at most {MOST_BYTES >> 20} MB.",
        remedy="Send a smaller one.",
        facts={"field": param},
    )


def pictures_in(text: str) -> tuple[str, list[bytes]]:
    """Pictures out of markdown, as answers of this and other gateways hold them, and the rest."""
    if "](data:" not in text:
        return text, []
    found: list[bytes] = []

    def take(match: re.Match[str]) -> str:
        found.append(decode_data_url(match[1], "messages"))
        return ""

    return _MARKDOWN.sub(take, text), found
