"""A plan's talk as turns of user and model, and those turns in the words of generateContent.

Pure. Which earlier turns go back, and how much of each, is decided before: what a plan holds is
rendered (gemini-api.md section 4). Invariant: user and model take turns, the user begins and ends,
no content is empty, and every part of a signed turn goes back once, in order, as it was received.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from heliograph.providers.wire import Segment
from heliograph.types import Part, Plan, Reference, Said

NO_LINKS: Mapping[str, str] = MappingProxyType({})
# introduces a picture of the model's that goes back as one of the user's
MADE = "The picture made of this:"
SILENCE = "Go on."  # what stands for an earlier turn that says nothing


@dataclass(frozen=True, kw_only=True)
class Content:
    """What one side says in one go."""

    role: str  # "user" | "model"
    parts: tuple[Part, ...]


def contents(plan: Plan) -> tuple[Content, ...]:
    """The whole talk, what is asked now last.

    An earlier turn whose answer is left out, or cannot go back as the model's own (unsigned, or of
    another model), is said by the user together with what the user says next.
    """
    found: list[Content] = []
    said: list[Part] = []
    for turn in plan.history:
        said += _in_order(turn.layout, turn.words, turn.references)
        answer = tuple(part for part in turn.answer if not _is_empty(part))
        made = pictures(answer)
        if answer and turn.signed and turn.model == plan.model:
            user = tuple(said) or (Part(text=SILENCE),)
            found += [Content(role="user", parts=user), Content(role="model", parts=answer)]
            said = []
        elif made:
            said += _said(MADE, made)
    said += asked(plan)
    return (*found, Content(role="user", parts=tuple(said)))


def asked(plan: Plan) -> tuple[Part, ...]:
    """What is asked now: the text, then its pictures, or all of it in an order of its own."""
    return tuple(_in_order(plan.request.layout, plan.text, plan.references))


def pictures(parts: Sequence[Part]) -> tuple[Reference, ...]:
    """The pictures among parts, in order."""
    return tuple(part.image for part in parts if part.image is not None)


def given(plan: Plan) -> tuple[Reference, ...]:
    """Every picture that goes out as the user's: those may be sent by address."""
    return pictures([p for c in contents(plan) if c.role == "user" for p in c.parts])


def _in_order(
    layout: Sequence[Said], words: str, references: Sequence[Reference]
) -> Sequence[Part]:
    """What the user said in one turn; pictures that are not there any more leave no gap."""
    if not layout:
        return _said(words, references)
    left = list(references)
    said = []
    for one in layout:
        image = next((each for each in left if each.sha256 == one.sha256), None)
        if image is not None:
            left.remove(image)
            said.append(Part(image=image))
        elif one.text:
            said.append(Part(text=one.text))
    return said + _said("", left)


def _said(words: str, references: Sequence[Reference]) -> list[Part]:
    said = [Part(text=words)] if words else []
    return said + [Part(image=reference) for reference in references]


def _is_empty(part: Part) -> bool:
    return not part.text and part.image is None and part.signature is None


# ---------------------------------------------------------------- generateContent


def spoken(talk: Sequence[Content], links: Mapping[str, str]) -> Iterator[Segment]:
    """The value of `contents`, in pieces; files among it are encoded while it is sent.

    Args:
        links: address of an uploaded picture by its SHA-256; used in the user's turns alone.
    """
    opening = "["
    for content in talk:
        yield f'{opening}{{"role":{dumps(content.role)},"parts":['.encode()
        opening = "]},"
        before = ""
        for part in content.parts:
            yield before.encode()
            yield from _part(part, links if content.role == "user" else NO_LINKS)
            before = ","
    yield b"]}]"


def _part(part: Part, links: Mapping[str, str]) -> Iterator[Segment]:
    image = part.image
    if image is None:
        yield dumps({"text": part.text or ""})[:-1].encode()
    elif image.sha256 in links:
        data = {"mimeType": image.media_type, "fileUri": links[image.sha256]}
        yield f'{{"fileData":{dumps(data)}'.encode()
    else:
        yield f'{{"inlineData":{{"mimeType":{dumps(image.media_type)},"data":"'.encode()
        yield image
        yield b'"}'
    if part.signature is not None:
        yield b',"thoughtSignature":"'
        yield part.signature
        yield b'"'
    yield b"}"


def joined(segments: Iterator[Segment]) -> tuple[Segment, ...]:
    """The same pieces, bytes that follow one another made one."""
    found: list[Segment] = []
    for segment in segments:
        if isinstance(segment, bytes) and found and isinstance(found[-1], bytes):
            found[-1] += segment
        elif segment != b"":
            found.append(segment)
    return tuple(found)


def dumps(value: object) -> str:
    """JSON without spaces, letters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
