"""What one interaction says: its state, its pictures and words, its usage, its errors.

Pure, but for the files of the tap. Field names are those of google-genai 3.4.0 (`_gaos`), the
error codes those of Google's page "API errors" of 2026. Invariant: steps are judged by what they
are, never by index; an interaction that may still become a picture is never called a failure, and
one that failed is called free only if the API says so.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from heliograph.errors import Charged, OutcomeUnknown, ProtocolError, Refused
from heliograph.providers.interaction_errors import (
    BLOCKED,
    FRUITLESS,
    RPC,
    code_of,
    error_of,
    failed,
    refusal,
)
from heliograph.providers.interaction_usage import grounding_in, objects, text_in, usage_in
from heliograph.providers.salvage import closed
from heliograph.providers.wire import WireReply, documents, spooled
from heliograph.types import Reply, ReplyImage, ReplyText, Signature, Usage

# states after which nothing changes any more; whatever else is named may still change
ENDED = frozenset(
    {
        "completed",
        "failed",
        "cancelled",
        "incomplete",
        "budget_exceeded",
        "requires_action",
        "requires_continuation",
    }
)


@dataclass(frozen=True, kw_only=True)
class Link:
    """A picture that the answer names by address."""

    position: int
    uri: str
    declared_type: str | None
    thought: bool


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One interaction as it was told."""

    wire: WireReply
    value: Mapping[str, Any]

    @property
    def id(self) -> str | None:
        """Its id, when that can be asked for."""
        return id_in(self.value)

    @property
    def has_ended(self) -> bool:
        """Whether it will not change any more; without a word of its state it may."""
        status = self.value.get("status")
        return isinstance(status, str) and status in ENDED


def id_in(value: Mapping[str, Any]) -> str | None:
    """The id of an interaction, if it has one that can stand in an address."""
    found = value.get("id")
    if not isinstance(found, str) or not 0 < len(found) <= 1024 or not found.isprintable():
        return None
    # dots would mean another address
    return found if found.strip(".") and " " not in found else None


def answer_of(wire: WireReply) -> Answer:
    """The interaction that an answer with status 200 holds.

    Raises:
        ProtocolError: it holds none.
        HeliographError: it holds an error instead.
    """
    for value in reversed(documents(wire.tapped)):
        if isinstance(value.get("error"), Mapping) and "steps" not in value:
            # an error that arrives inside a success says nothing good: 200 would classify oddly
            found = error_of(500, value, wire.headers)
            if wire.tapped.spools:
                found.charged = Charged.UNKNOWN
            raise found
        if {"status", "steps", "id"} & value.keys():
            return Answer(wire=wire, value=value)
    raise ProtocolError(
        "The upstream's answer cannot be understood.",
        why="Its body is no interaction.",
        remedy="Check the base URL and any proxy on the way.",
        charged=Charged.UNKNOWN,
    )


def begun_id(wire: WireReply) -> str | None:
    """The id in an answer that may have broken off."""
    try:
        value = json.loads(closed(wire.tapped.skeleton.decode("utf-8-sig", "replace")))
    except (ValueError, RecursionError):
        return None
    return id_in(value) if isinstance(value, dict) else None


# ---------------------------------------------------------------- the answer as a reply


def decode(wire: WireReply) -> Reply:
    """What an interaction says, its parts in order.

    Raises:
        OutcomeUnknown: it is still being made, or its picture lies elsewhere.
        HeliographError: it failed, was cancelled, or makes no sense.
    """
    answer = answer_of(wire)
    if not answer.has_ended:
        raise still_running(answer.id)
    reply, links = reply_of(answer)
    if links:
        raise OutcomeUnknown(
            "The picture lies with the upstream and was not fetched.",
            remedy="Ask for the interaction again; that is free.",
            charged=Charged.YES,
            facts={"interaction": answer.id},
        )
    return reply


def still_running(remote: str | None, why: str | None = None) -> OutcomeUnknown:
    """The error for an interaction whose end was not seen."""
    return OutcomeUnknown(
        "The interaction has no end yet.",
        why=why or "The upstream is still at work.",
        remedy="It goes on upstream and may be charged; its answer can be asked for later.",
        charged=Charged.UNKNOWN,
        facts={"interaction": remote, "may_be_asked_for": remote is not None},
    )


def nobody_knows(remote: str, why: str | None) -> OutcomeUnknown:
    """The error for an interaction that is not there any more."""
    return OutcomeUnknown(
        "The upstream does not know the interaction.",
        why=why,
        remedy="It may have been charged. Check the provider's billing, then "
        "`heliograph calls resolve`.",
        charged=Charged.UNKNOWN,
        facts={"interaction": remote, "may_be_asked_for": False},
    )


def reply_of(answer: Answer) -> tuple[Reply, tuple[Link, ...]]:
    """The reply of an interaction that has ended, and the pictures that are still to be fetched.

    Raises:
        HeliographError: it failed or was cancelled, and left no picture.
    """
    value = answer.value
    parts = _Parts(answer.wire)
    for step in objects(value.get("steps")):
        parts.take(step)
    images, texts, links = parts.finish()
    code, message = _fault(value)
    status = value.get("status")
    reply = Reply(
        images=images,
        texts=texts,
        finish_reason=(code or (status if isinstance(status, str) else "")).upper() or None,
        finish_message=message,
        block_reason=None,
        block_message=None,
        usage=usage_in(value),
        grounding=grounding_in(value),
        model_version=text_in(value.get("model")),
        response_id=answer.id,
        timing=answer.wire.timing,
    )
    if links or any(not image.thought for image in images):
        broke = status in ("failed", "cancelled")
        return replace(reply, salvaged=broke), links
    return replace(reply, refusal=_why_none(answer, reply, code, message)), links


class _Parts:
    """Takes the steps of an interaction apart, in order."""

    def __init__(self, wire: WireReply) -> None:
        self._wire = wire
        self._images: list[ReplyImage] = []
        self._texts: list[ReplyText] = []
        self._links: list[Link] = []
        self._position = 0
        self._signature: Signature | None = None  # of a thought, waiting for what it led to

    def take(self, step: Mapping[str, Any]) -> None:
        if step.get("type") == "thought":
            for content in objects(step.get("summary")):
                self._content(content, thought=True)
            signature = self._signed(step)
            if signature is not None:
                self._put_down()
                self._signature = signature
        elif step.get("type") == "model_output":
            for content in objects(step.get("content")):
                self._content(content, thought=False)

    def finish(
        self,
    ) -> tuple[tuple[ReplyImage, ...], tuple[ReplyText, ...], tuple[Link, ...]]:
        """What was found."""
        self._put_down()
        return tuple(self._images), tuple(self._texts), tuple(self._links)

    def _content(self, content: Mapping[str, Any], *, thought: bool) -> None:
        if content.get("type") == "image":
            self._image(content, thought=thought)
        elif text := text_in(content.get("text")):
            self._texts.append(
                ReplyText(
                    position=self._place(),
                    text=text,
                    thought=thought,
                    signature=self._claim(thought=thought),
                )
            )

    def _image(self, content: Mapping[str, Any], *, thought: bool) -> None:
        declared = text_in(content.get("mime_type"))
        spool = spooled(self._wire.tapped, content.get("data"))
        uri = text_in(content.get("uri"))
        if spool is not None and (spool.size or spool.defect or uri is None):
            self._images.append(
                ReplyImage(
                    position=self._place(),
                    path=spool.path,
                    size=spool.size,
                    sha256=spool.sha256,
                    declared_type=declared,
                    thought=thought,
                    signature=self._claim(thought=thought),
                    defect=spool.defect,
                )
            )
        elif uri is not None:
            found = Link(position=self._place(), uri=uri, declared_type=declared, thought=thought)
            self._links.append(found)

    def _place(self) -> int:
        self._position += 1
        return self._position - 1

    def _signed(self, step: Mapping[str, Any]) -> Signature | None:
        spool = spooled(self._wire.tapped, step.get("signature"))
        if spool is None or not spool.size:
            return None
        return Signature(path=spool.path, size=spool.size, sha256=spool.sha256)

    def _claim(self, *, thought: bool) -> Signature | None:
        """A thought's signature stays with the first thing that the thought led to.

        generateContent puts it there too, and a record keeps no thoughts to hang it on.
        """
        if thought:
            return None
        found, self._signature = self._signature, None
        return found

    def _put_down(self) -> None:
        """A signature that nothing came of is kept all the same."""
        if self._signature is not None:
            self._texts.append(
                ReplyText(position=self._place(), text="", thought=True, signature=self._signature)
            )
            self._signature = None


# ---------------------------------------------------------------- why there is no picture


def _fault(value: Mapping[str, Any]) -> tuple[str | None, str | None]:
    """Code and message of what went wrong, from the interaction or else from one of its steps."""
    for error in objects(value.get("errors")):
        code, message = code_of(error.get("code")), text_in(error.get("message"))
        if code or message:
            return code, message
    for step in objects(value.get("steps")):
        found = step.get("error")
        if isinstance(found, Mapping) and found.get("code") not in (None, 0):
            number = found.get("code")
            code = RPC.get(number) if isinstance(number, int) else code_of(number)
            return code or "unknown", text_in(found.get("message"))
    return None, None


def _why_none(answer: Answer, reply: Reply, code: str | None, message: str | None) -> Refused:
    """Why an ended interaction has no picture.

    Raises:
        UpstreamError: because it failed or was cancelled, or contradicts itself.
    """
    status = answer.value.get("status")
    words = " ".join(t.text for t in reply.texts if not t.thought).strip()
    used = _is_used(reply.usage)
    if code in BLOCKED:
        return refusal(code, message, words, Charged.NO)
    if code in FRUITLESS:
        return refusal(code, message, words, Charged.YES if used else Charged.NO)
    if status in ("failed", "cancelled"):
        error = failed(status, (code, message), answer.wire.headers, used=used)
        error.facts["interaction"] = answer.id
        raise error
    if reply.usage is not None and reply.usage.image_tokens:
        raise ProtocolError(
            "The interaction counts a picture and shows none.",
            remedy="It may have been charged; what arrived is kept in quarantine.",
            charged=Charged.UNKNOWN,
            facts={"interaction": answer.id},
        )
    reason = {
        "completed": "STOP",
        "incomplete": "MAX_TOKENS",
        "requires_continuation": "MAX_TOKENS",
    }.get(str(status), str(status))
    # a format of image alone leaves out the words that were paid for: usage decides
    return refusal(reason.lower(), message, words, Charged.YES if used else Charged.NO)


def _is_used(usage: Usage | None) -> bool:
    """Whether tokens were put out, which is what a picture costs."""
    return usage is not None and (
        usage.candidate_tokens > 0 or usage.thought_tokens > 0 or usage.anomaly is not None
    )
