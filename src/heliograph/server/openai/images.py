"""Parameters of images/generations and images/edits.

    background        opaque and auto; these models cannot make transparent pictures
    output_format     png, jpeg, webp; left out it is the format in which the model answers, byte
                      for byte, because encoding again would cost time and provenance
    output_compression  1 to 100 as quality of jpeg and webp (0 counts as 1)
    input_fidelity    high is how these models always look at pictures; low cannot be had
    moderation        low blocks only what is surely harmful (BLOCK_ONLY_HIGH)
    user, safety_identifier  part of what an idempotency key stands for, and given back

Invariant: as in the package: done or refused by name.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from heliograph.errors import InvalidRequest
from heliograph.planning.catalogue import Model
from heliograph.server.openai.fields import Fields
from heliograph.server.openai.names import model_of
from heliograph.server.openai.options import read_options
from heliograph.server.openai.shape import read_shape
from heliograph.server.openai.wanted import Wanted
from heliograph.server.pictures.variant import parse
from heliograph.types import Finish, Request

MOST = 10  # pictures of one request
FORMATS = ("png", "jpeg", "webp")
SUFFIXES = {"jpeg": ".jpg", "png": ".png", "webp": ".webp"}
LONGEST_NAME = 512  # characters of the client's word for its user
_NOT_HERE = {
    "style": "belongs to models that were retired; put the style into the prompt.",
    "complexity": "is nothing these models take; see heliograph.thinking.",
    "frame_count": "belongs to GIF, and these models make still pictures.",
    "frame_duration_ms": "belongs to GIF, and these models make still pictures.",
    "svg": "belongs to SVG, and these models make pixels.",
    "markup": "is nothing these models take; give a mask, or say it in the prompt.",
}


def read_generation(body: Fields, *, default_model: str) -> Wanted:
    """A body of images/generations.

    Raises:
        InvalidRequest: lists every problem.
        ModelNotFound: there is no such model.
    """
    return _read(body, default_model, (), None, is_edit=False)


def read_edit(
    body: Fields, *, default_model: str, pictures: Sequence[Path], mask: Path | None
) -> Wanted:
    """A form or body of images/edits, whose files were taken out before.

    With one picture, or with a mask, the first one is what is changed; several without a mask are
    put together.

    Raises:
        InvalidRequest: lists every problem.
        ModelNotFound: there is no such model.
    """
    for name in ("image", "images", "mask"):
        body.raw(name)
    if not pictures:
        body.problem("image", "", "is missing: an edit needs at least one picture.")
    return _read(body, default_model, pictures, mask, is_edit=True)


def _read(
    body: Fields, default_model: str, pictures: Sequence[Path], mask: Path | None, *, is_edit: bool
) -> Wanted:
    model = model_of(body.text("model"), default_model)
    prompt = body.text("prompt")
    if not prompt or not prompt.strip():
        body.refuse("prompt", "must say what the picture shows.")
    _refuse_what_cannot_be(body, is_edit=is_edit)
    options = read_options(body)
    if options.style["images"] is not None:
        body.problem("heliograph.images", options.style["images"], "belongs to chat/completions.")
    shape = read_shape(body, model, tier=options.size, ratio=options.aspect)
    count = body.whole("n", 1, MOST) or 1
    stream = body.flag("stream") or False
    partials = _partials(body, stream=stream)
    as_url = body.choice("response_format", ("b64_json", "url")) == "url"
    if as_url and stream:
        body.refuse("response_format", "must be b64_json in a stream.", ("b64_json",))
    user = _user(body)
    finish = _finish(body, model)
    fields: dict[str, Any] = dict(options.fields)
    if partials and model.can.thinking != "none":
        fields["include_thoughts"] = True
    if count > 1:
        fields["fresh"] = True  # n pictures are n calls, even where a seed would make twins
    is_base = bool(pictures) and (len(pictures) == 1 or mask is not None)
    request = replace(
        Request(
            prompt=prompt or "?",
            model=model.id,
            size=shape.size,
            aspect=shape.aspect,
            pixels=shape.pixels,
            finish=finish,
            base=pictures[0] if is_base else None,
            references=tuple(pictures[1:] if is_base else pictures),
            mask=mask,
        ),
        **fields,
    )
    if as_url:
        _check_link(body, request)
    body.check()
    return Wanted(
        request=request,
        model=model.id,
        count=count,
        stream=stream,
        partials=partials,
        as_url=as_url,
        quality=shape.quality,
        user=user,
        notes=shape.notes,
        shape={
            "stream": stream,
            "partial_images": partials,
            "response_format": "url" if as_url else "b64_json",
            "quality": shape.quality,
            "user": user,
        },
    )


def _refuse_what_cannot_be(body: Fields, *, is_edit: bool) -> None:
    for name, why in _NOT_HERE.items():
        if name in body:
            body.raw(name)
            body.refuse(name, why)
    background = body.choice("background", ("auto", "opaque", "transparent"))
    if background == "transparent":
        body.refuse(
            "background", "cannot be transparent: these models fill it.", ("opaque", "auto")
        )
    if is_edit and body.choice("input_fidelity", ("high", "low")) == "low":
        body.refuse("input_fidelity", "is always high with these models.", ("high",))


def _partials(body: Fields, *, stream: bool) -> int:
    partials = body.whole("partial_images", 0, 3) or 0
    if partials and not stream:
        body.refuse("partial_images", "needs stream: true.", ("0",))
    return partials


def _user(body: Fields) -> str | None:
    """The effective identifier: `safety_identifier`, or else the older `user`."""
    newer = body.text("safety_identifier", most=LONGEST_NAME)
    older = body.text("user", most=LONGEST_NAME)
    return newer or older or None


def _finish(body: Fields, model: Model) -> Finish:
    kind = body.choice("output_format", FORMATS)
    quality = body.whole("output_compression", 0, 100)
    if quality is not None:
        quality = max(1, quality)
        if kind == "png":
            body.refuse("output_compression", "is for jpeg and webp: png loses nothing.")
    elif kind is not None and model.can.output == f"image/{kind}":
        kind = None  # it comes like that
    return Finish(format=kind, quality=quality)


def link_variant(request: Request, pixels: str, kind: str) -> str:
    """The last part of the address under which a finished picture can be fetched.

    Args:
        pixels: of the file, such as "3840x2160"; others than were asked mean that it is as it
            came.
        kind: the format of the file: "jpeg", "png" or "webp".
    """
    if request.pixels is not None and request.pixels.lower() == pixels:
        return f"{pixels}{SUFFIXES[kind]}"
    if request.finish.format is not None:
        return f"picture{SUFFIXES[kind]}"
    return "picture" if request.protect else "original"


def _check_link(body: Fields, request: Request) -> None:
    """Links lead to sizes that the pictures part makes; everything else must be asked inline."""
    if request.finish.quality is not None:
        body.refuse("output_compression", "cannot stand beside response_format url.")
    elif request.pixels is not None:
        try:
            parse(link_variant(request, request.pixels.lower(), request.finish.format or "jpeg"))
        except InvalidRequest:
            body.refuse("size", "is served inline only; ask with response_format b64_json.")
