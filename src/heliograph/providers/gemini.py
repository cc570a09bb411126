"""Gemini's generateContent and streamGenerateContent: Plan → bytes, bytes → Reply.

`encode` and `decode` are pure; the wire facts behind them are in gemini-api.md section 2.
Invariant: parts are taken in the order they came and judged by what they are, never by index.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from heliograph.errors import (
    Charged,
    NoImage,
    OutcomeUnknown,
    PolicyBlocked,
    ProtocolError,
    Refused,
)
from heliograph.ports import CallLog, Observer
from heliograph.providers.answers import understand
from heliograph.providers.calling import Caller, Errand
from heliograph.providers.classify import classify
from heliograph.providers.files import Files
from heliograph.providers.freight import Freight
from heliograph.providers.http import Tell
from heliograph.providers.pool import Place
from heliograph.providers.talk import NO_LINKS, contents, dumps, given, joined, spoken
from heliograph.providers.usage import read_usage
from heliograph.providers.wire import Segment, WireReply, WireRequest, documents, spooled
from heliograph.types import (
    Answered,
    Grounding,
    Pixels,
    Plan,
    Reference,
    Reply,
    ReplyImage,
    ReplyText,
    Signature,
    Usage,
    Verbatim,
)

HOST = "https://generativelanguage.googleapis.com"

POLICY_REASONS = {
    "SAFETY": "The safety filter stopped the answer.",
    "IMAGE_SAFETY": "The image filter stopped the finished picture.",
    "PROHIBITED_CONTENT": "The prompt asks for something Google prohibits.",
    "IMAGE_PROHIBITED_CONTENT": "The picture shows something Google prohibits.",
    "BLOCKLIST": "The prompt holds a term on Google's block list.",
    "SPII": "The answer would show sensitive personal data.",
    "MODEL_ARMOR": "A Model Armor policy of the project stopped the answer.",
    "JAILBREAK": "The prompt looks like an attempt to get around the filters.",
    "RECITATION": "The answer comes too close to existing material.",
    "IMAGE_RECITATION": "The picture comes too close to an existing one.",
    "LANGUAGE": "The model does not support the prompt's language.",
    "OTHER": "Google stopped it and gives no reason.",
}
NO_IMAGE_REASONS = {
    "NO_IMAGE": "The model answered without drawing.",
    "IMAGE_OTHER": "The model could not make an image of this prompt.",
    "MAX_TOKENS": "The answer was cut off before the image.",
    "STOP": "The model answered in words only.",
}
# Google's own texts: "You will not be charged for blocked images / for this request"
UNBILLED_REASONS = {*POLICY_REASONS, "IMAGE_OTHER"}


class Gemini:
    """The Gemini Developer API as a provider: one call, one connection, one answer.

    Args:
        files: the uploads of the upstream; without it every picture is sent inline.
        mode: which pictures are uploaded; one of `freight.MODES`.
    """

    transport = "generate_content"

    def __init__(
        self, caller: Caller, *, simulated: bool, files: Files | None = None, mode: str = "auto"
    ) -> None:
        self._caller = caller
        self._simulated = simulated
        self._files = files
        self._mode = mode

    @property
    def upstream(self) -> str:
        return self._caller.upstream

    @property
    def simulated(self) -> bool:
        return self._simulated

    async def generate(self, plan: Plan, spool: Path, log: CallLog, observer: Observer) -> Reply:
        freight = Freight(plan, self._files, self._mode)
        # a body that is sent as it came is sent whole
        theirs = given(plan) if plan.request.verbatim is None else ()

        async def request(place: Place, tell: Tell) -> WireRequest:
            return await freight.load(place, tell, theirs, partial(encode, plan))

        errand = Errand(
            request=request,
            read=lambda wire: freight.read(wire, lambda wire: understand(wire, decode)),
            model=plan.model,
            ask=plan.estimate.high,
            spool=spool,
            log=log,
            observer=observer,
            mend=freight.mend,
        )
        answered = await self._caller.call(errand)
        return replace(answered.value, attempts=answered.attempts)

    async def resume(
        self,
        plan: Plan,
        spool: Path,
        remote: str,
        log: CallLog,
        observer: Observer,
        *,
        project: str,
    ) -> Reply:
        del plan, spool, remote, log, observer, project
        raise OutcomeUnknown(
            "generateContent keeps no answer that could be asked for again.",
            charged=Charged.UNKNOWN,
        )

    async def close(self) -> None:
        await self._caller.close()


# ---------------------------------------------------------------- encode


def encode(plan: Plan, links: Mapping[str, str] = NO_LINKS) -> WireRequest:
    """The HTTP request for a plan.

    Args:
        links: address of an uploaded picture by its SHA-256; what has none is sent inline.
    """
    if plan.request.verbatim is not None:
        return _wire(plan, joined(_enclosing(plan.request.verbatim)))
    request = plan.request
    body: dict[str, Any] = {}
    if request.system:
        body["systemInstruction"] = {"role": "user", "parts": [{"text": request.system}]}
    if request.safety:
        body["safetySettings"] = [
            {"category": category, "threshold": threshold}
            for category, threshold in request.safety.items()
        ]
    if plan.ground:
        body["tools"] = [{"googleSearch": _search(plan.ground)}]
    if plan.tier != "standard":
        body["serviceTier"] = plan.tier
    body["generationConfig"] = _generation(plan)
    return _wire(plan, joined(_segments(body, plan, links)))


def _wire(plan: Plan, body: tuple[Segment, ...]) -> WireRequest:
    stream = plan.request.stream
    action = "streamGenerateContent" if stream else "generateContent"
    return WireRequest(
        path=f"/models/{plan.model}:{action}",
        query="alt=sse" if stream else "",
        headers={"content-type": "application/json"},
        body=body,
    )


def _enclosing(body: Verbatim) -> Iterator[Segment]:
    """A client's own body in pieces, its files read while it is sent."""
    for piece in body.pieces:
        if isinstance(piece, str):
            yield piece.encode()
        elif piece.media_type is None:
            yield Signature(path=piece.path, size=piece.size, sha256=piece.sha256)
        else:
            yield Reference(
                source=piece.path,
                media_type=piece.media_type,
                pixels=Pixels(1, 1),  # looked at before; only its bytes matter here
                size=piece.size,
                sha256=piece.sha256,
                name="a picture of the request",
            )


def _search(kind: str) -> dict[str, Any]:
    return {} if kind == "web" else {"searchTypes": {"webSearch": {}, "imageSearch": {}}}


def _generation(plan: Plan) -> dict[str, Any]:
    request = plan.request
    image = {"aspectRatio": plan.aspect, "imageSize": plan.size}
    thinking = {
        "includeThoughts": request.include_thoughts or None,
        "thinkingLevel": plan.thinking.upper() if plan.thinking else None,
    }
    config: dict[str, Any] = {
        "temperature": request.temperature,
        "topP": request.top_p,
        "seed": request.seed,
        "responseModalities": ["TEXT", "IMAGE"],
        "thinkingConfig": _present(thinking),
        "imageConfig": _present(image),
    }
    return {k: v for k, v in config.items() if v is not None and v != {}}


def _present(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in fields.items() if v is not None}


def _segments(body: Mapping[str, Any], plan: Plan, links: Mapping[str, str]) -> Iterator[Segment]:
    """The body in pieces: JSON text, and between it the files to read while sending."""
    yield b'{"contents":'
    yield from spoken(contents(plan), links)
    # the rest of the body goes on inside the same object
    yield f",{dumps(body)[1:]}".encode()


# ---------------------------------------------------------------- decode


def decode(wire: WireReply) -> Reply:
    """What an answer says, its parts in order.

    Raises:
        HeliographError: the answer is an error, or makes no sense.
    """
    values = documents(wire.tapped)
    for value in values:
        error = value.get("error")
        if error is not None:
            raise _inner_error(wire, error)
    candidates = [c for v in values for c in _objects(v.get("candidates"))]
    # the first candidate is the answer, so its parts come last; images of others are extras
    candidates.sort(key=_index, reverse=True)
    images, texts = _parts(wire, candidates)
    finish = _last(candidates, "finishReason")
    feedback = [f for v in values if isinstance(f := v.get("promptFeedback"), Mapping)]
    reply = Reply(
        images=tuple(images),
        texts=tuple(texts),
        finish_reason=finish,
        finish_message=_last(candidates, "finishMessage"),
        block_reason=_last(feedback, "blockReason"),
        block_message=_last(feedback, "blockReasonMessage"),
        usage=_usage(values),
        grounding=_grounding(candidates),
        model_version=_last(values, "modelVersion"),
        response_id=_last(values, "responseId"),
        safety_ratings=tuple(r for c in candidates for r in _objects(c.get("safetyRatings"))),
        timing=wire.timing,
        answered=_answered(wire) if wire.incomplete is None else None,
    )
    return _with_refusal(reply)


def _answered(wire: WireReply) -> Answered:
    strings = {name: spool.sha256 for name, spool in wire.tapped.spools.items()}
    return Answered(skeleton=wire.tapped.skeleton.decode("utf-8-sig"), strings=strings)


def _inner_error(wire: WireReply, error: object) -> Exception:
    body = error if isinstance(error, Mapping) else {"message": str(error)}
    code = body.get("code")
    status = code if isinstance(code, int) and not isinstance(code, bool) else wire.status
    # an error that arrives inside a success says nothing good: 200 itself would classify oddly
    found = classify(status if status != 200 else 500, body, wire.headers)
    if wire.tapped.spools:
        found.charged = Charged.UNKNOWN
        found.remedy = "Images had arrived before: they may be charged, and are in quarantine."
    return found


def _parts(
    wire: WireReply, candidates: Sequence[Mapping[str, Any]]
) -> tuple[list[ReplyImage], list[ReplyText]]:
    images: list[ReplyImage] = []
    texts: list[ReplyText] = []
    for position, part in enumerate(_all_parts(candidates)):
        thought = part.get("thought") is True
        signature = _signature(wire, part)
        inline = part.get("inlineData", part.get("inline_data"))
        if isinstance(inline, Mapping):
            spool = spooled(wire.tapped, inline.get("data"))
            if spool is not None:
                declared = inline.get("mimeType", inline.get("mime_type"))
                images.append(
                    ReplyImage(
                        position=position,
                        path=spool.path,
                        size=spool.size,
                        sha256=spool.sha256,
                        declared_type=declared if isinstance(declared, str) else None,
                        thought=thought,
                        signature=signature,
                        defect=spool.defect,
                    )
                )
        elif isinstance(text := part.get("text", ""), str) and (text or signature):
            texts.append(
                ReplyText(position=position, text=text, thought=thought, signature=signature)
            )
    return images, texts


def _index(candidate: Mapping[str, Any]) -> int:
    index = candidate.get("index")
    return index if isinstance(index, int) else 0


def _all_parts(candidates: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for candidate in candidates:
        content = candidate.get("content")
        if isinstance(content, Mapping):
            yield from _objects(content.get("parts"))


def _signature(wire: WireReply, part: Mapping[str, Any]) -> Signature | None:
    spool = spooled(wire.tapped, part.get("thoughtSignature", part.get("thought_signature")))
    if spool is None:
        return None
    return Signature(path=spool.path, size=spool.size, sha256=spool.sha256)


def _usage(values: Sequence[Mapping[str, Any]]) -> Usage | None:
    for value in reversed(values):
        usage = read_usage(value.get("usageMetadata"))
        if usage is not None:
            return usage
    return None


def _grounding(candidates: Sequence[Mapping[str, Any]]) -> Grounding | None:
    for candidate in reversed(candidates):
        raw = candidate.get("groundingMetadata")
        if isinstance(raw, Mapping) and raw:
            entry = raw.get("searchEntryPoint")
            rendered = entry.get("renderedContent") if isinstance(entry, Mapping) else None
            return Grounding(
                queries=_strings(raw.get("webSearchQueries")),
                image_queries=_strings(raw.get("imageSearchQueries")),
                sources=tuple(_source(c) for c in _objects(raw.get("groundingChunks"))),
                entry_point=rendered if isinstance(rendered, str) else None,
            )
    return None


def _source(chunk: Mapping[str, Any]) -> Mapping[str, str]:
    web, image = chunk.get("web"), chunk.get("image")
    if isinstance(web, Mapping):
        fields = {"uri": web.get("uri"), "title": web.get("title"), "domain": web.get("domain")}
    elif isinstance(image, Mapping):
        fields = {
            "uri": image.get("sourceUri"),
            "image_uri": image.get("imageUri"),
            "title": image.get("title"),
            "domain": image.get("domain"),
        }
    else:
        fields = {}
    return {name: value for name, value in fields.items() if isinstance(value, str)}


def _with_refusal(reply: Reply) -> Reply:
    if any(not image.thought for image in reply.images):
        return reply
    return replace(reply, refusal=_refusal(reply))


def _refusal(reply: Reply) -> Refused:
    """Why there is no image, in words, and whether the tokens are billed (gemini-api.md 2.4)."""
    reason = reply.block_reason or reply.finish_reason or "STOP"
    said = reply.block_message or reply.finish_message
    words = " ".join(t.text for t in reply.texts if not t.thought).strip()
    facts = {
        "finish_reason": reply.finish_reason,
        "block_reason": reply.block_reason,
        "model_says": words or None,
    }
    if reply.block_reason or reason in POLICY_REASONS:
        return PolicyBlocked(
            POLICY_REASONS.get(reason, f"Google blocked it ({reason})."),
            why=said,
            remedy="Change the prompt; sending it again will not help.",
            facts=facts,
        )
    if reason not in NO_IMAGE_REASONS:
        raise ProtocolError(
            f"The answer stopped without an image, for a reason unknown here ({reason}).",
            why=said or (f"It said: {words[:300]}" if words else None),
            remedy="It may have been charged. Upgrade heliograph, or check the provider's billing.",
            charged=Charged.UNKNOWN,
            facts=facts,
        )
    # an answer that just stops, without any part, is nothing to pay for (reliability F32: B = 0)
    said_nothing = not reply.texts and not reply.images
    answered = not (said_nothing and reply.finish_reason in (None, "STOP"))
    billed = answered and reply.usage is not None and reason not in UNBILLED_REASONS
    return NoImage(
        NO_IMAGE_REASONS[reason],
        why=said or (f"It said: {words[:300]}" if words else None),
        remedy="Ask plainly for a picture, or try again: the same prompt often works.",
        charged=Charged.YES if billed else Charged.NO,
        facts=facts,
    )


def _objects(value: object) -> list[Mapping[str, Any]]:
    return [v for v in value if isinstance(v, Mapping)] if isinstance(value, list) else []


def _strings(value: object) -> tuple[str, ...]:
    return tuple(v for v in value if isinstance(v, str)) if isinstance(value, list) else ()


def _last(values: Sequence[Mapping[str, Any]], name: str) -> str | None:
    for value in reversed(values):
        found = value.get(name)
        if isinstance(found, str):
            return found
    return None
