"""Inputs and steps to the turns of a conversation; invariant: bytes are decoded once, here.

A turn is a parsed GenerateContent content, so that everything behind the front is shared.
"""

from collections.abc import Callable
from typing import Any

from heliograph.emulator.envelope import invalid
from heliograph.emulator.interactions.refusing import InteractionError, misshapen
from heliograph.emulator.protojson import decode_base64
from heliograph.emulator.signature import genuine

Content = dict[str, Any]
FileReader = Callable[[str], tuple[bytes, str]]

_MEDIA = ("image", "document", "video", "audio")
_IGNORED_STEPS = ("google_search_call", "google_search_result")
_STEPS = ("user_input", "model_output", "thought", *_IGNORED_STEPS)
_MAGIC = ((b"\x89PNG", "image/png"), (b"\xff\xd8\xff", "image/jpeg"), (b"RIFF", "image/webp"))


def turns(given: Any, *, read_file: FileReader, signed: bool) -> list[Content]:
    """The turns that an input adds; `signed` refuses thoughts whose signature was altered."""
    if isinstance(given, str):
        return [{"role": "user", "parts": [{"text": given}]}]
    if isinstance(given, dict):
        return [{"role": "user", "parts": [_part(given, "input", read_file)]}]
    if _are_steps(given):
        return _turns_of_steps(given, read_file, signed=signed)
    return [{"role": "user", "parts": _parts(given, "input", read_file)}]


def user_steps(given: Any) -> list[Content]:
    """An input as the steps with which a stored interaction begins."""
    if isinstance(given, list) and _are_steps(given):
        return list(given)
    contents = [{"type": "text", "text": given}] if isinstance(given, str) else given
    return [
        {
            "type": "user_input",
            "content": contents if isinstance(contents, list) else [contents],
        }
    ]


def _are_steps(given: list[Any]) -> bool:
    return any(isinstance(item, dict) and item.get("type") in _STEPS for item in given)


def _turns_of_steps(steps: list[Any], read_file: FileReader, *, signed: bool) -> list[Content]:
    found: list[Content] = []
    for i, step in enumerate(steps):
        path = f"input[{i}]"
        kind = step.get("type") if isinstance(step, dict) else None
        if kind in ("user_input", "model_output"):
            parts = _parts(step.get("content") or [], f"{path}.content", read_file)
            role = "user" if kind == "user_input" else "model"
            if parts:
                found.append({"role": role, "parts": parts})
        elif kind == "thought":
            if signed and step.get("signature"):
                _check_signature(step["signature"], path)
        elif kind not in _IGNORED_STEPS:
            raise invalid(note=f"{path}: steps are {', '.join(_STEPS)}, not mixed with contents")
    return found


def _check_signature(signature: Any, path: str) -> None:
    try:
        good = isinstance(signature, str) and genuine(decode_base64(signature))
    except ValueError:
        raise misshapen(f"{path}.signature") from None
    if not good:
        raise invalid("Corrupted thought signature.")


def _parts(contents: Any, path: str, read_file: FileReader) -> list[Content]:
    if not isinstance(contents, list):
        raise misshapen(path)
    return [_part(content, f"{path}[{i}]", read_file) for i, content in enumerate(contents)]


def _part(content: Any, path: str, read_file: FileReader) -> Content:
    kind = content.get("type") if isinstance(content, dict) else None
    if kind == "text" and isinstance(content.get("text"), str):
        return {"text": content["text"]}
    if kind not in _MEDIA:
        raise misshapen(path)
    mime = content.get("mime_type") or ""
    if not isinstance(mime, str):
        raise misshapen(f"{path}.mime_type")
    if content.get("uri"):
        data, kept = read_file(_file_uri(content["uri"], path))
        return {"inline_data": {"data": data, "mime_type": mime or kept}}
    try:
        data = decode_base64(content.get("data", ""))
    except (ValueError, TypeError, AttributeError):
        raise misshapen(f"{path}.data") from None
    return {"inline_data": {"data": data, "mime_type": mime or _sniffed(data)}}


def _file_uri(uri: Any, path: str) -> str:
    if not isinstance(uri, str):
        raise misshapen(f"{path}.uri")
    if not uri.startswith(("http://", "https://")):
        # Seen up to here; the rest of Google's list is not known.
        raise InteractionError(
            code=400,
            status="INVALID_ARGUMENT",
            message=f"Unsupported file URI type: {uri[:100]}. File URI must be a File API "
            "(e.g. https://generativelanguage.googleapis.com/files/<id>).",
        )
    return uri.removesuffix("?alt=media").removesuffix(":download")


def _sniffed(data: bytes) -> str:
    return next((mime for magic, mime in _MAGIC if data.startswith(magic)), "")
