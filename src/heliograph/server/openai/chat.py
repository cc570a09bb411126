"""Parameters and messages of chat/completions, whose answers are pictures.

Earlier turns are told as text, with their pictures in order; the last user message is what is
asked. Pictures of earlier turns give way, the oldest first, where a model takes no more.

Invariant: text of a message reaches the model, or the request is refused; pictures come from data
URLs alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from heliograph.planning.catalogue import Model
from heliograph.server.openai.fields import Fields
from heliograph.server.openai.inline import decode_data_url, pictures_in
from heliograph.server.openai.names import model_of
from heliograph.server.openai.options import INT32, read_options
from heliograph.server.openai.shape import read_shape
from heliograph.server.openai.wanted import Wanted
from heliograph.types import Request

MOST_MESSAGES = 256
LONGEST_NAME = 512
# OpenAI's tiers by what we call them
_TIERS = {"auto": None, "default": None, "flex": "flex", "priority": "priority"}
_ROLES = ("system", "developer", "user", "assistant")
_EFFORTS = ("minimal", "low", "medium", "high")
_NEUTRAL: dict[str, tuple[tuple[Any, ...], str]] = {
    "n": ((1,), "must be 1 here; images/generations makes several."),
    "logprobs": ((False,), "is nothing these models give."),
    "top_logprobs": ((0,), "is nothing these models give."),
    "frequency_penalty": ((0, 0.0), "is nothing these models take."),
    "presence_penalty": ((0, 0.0), "is nothing these models take."),
    "logit_bias": (({},), "is nothing these models take."),
    "stop": (([],), "is nothing these models take."),
    "store": ((False,), "is not done: pictures are kept here, talks are not."),
    "parallel_tool_calls": ((True, False), "must be true or false."),
    "tool_choice": (("auto", "none"), "cannot be chosen: there are no functions."),
    "functions": (([],), "are nothing these models call."),
    "function_call": (("auto", "none"), "is nothing these models do."),
    "response_format": (({"type": "text"},), "must be text: pictures come beside it."),
    "verbosity": ((), "is nothing these models take."),
    "max_tokens": ((), "cannot be limited: it would cut pictures off; see heliograph.max_cost."),
    "max_completion_tokens": (
        (),
        "cannot be limited: it would cut pictures off; see heliograph.max_cost.",
    ),
    "audio": ((), "is nothing these models give."),
    "prediction": ((), "is nothing these models take."),
    "metadata": (({},), "is not kept; see heliograph.tags."),
}
Keep = Callable[[bytes], Path]
"""Writes a picture down and says where."""


@dataclass(kw_only=True)
class _Talk:
    """Messages as they go to the model."""

    system: list[str] = field(default_factory=list)
    turns: list["_Turn"] = field(default_factory=list)


@dataclass(kw_only=True)
class _Turn:
    role: str
    texts: list[str] = field(default_factory=list)
    pictures: list[bytes] = field(default_factory=list)


def read_chat(body: Fields, *, default_model: str, keep: Keep) -> Wanted:
    """A body of chat/completions.

    Args:
        keep: writes a picture of the messages down; called only when all else is right.

    Raises:
        InvalidRequest: lists every problem.
        ModelNotFound: there is no such model.
        UrlInputsDisabled: a picture is given as an address.
    """
    model = model_of(body.text("model"), default_model)
    talk = _talk(body)
    for name, (neutral, why) in _NEUTRAL.items():
        body.only(name, neutral, why)
    options = read_options(body)
    shape = read_shape(body, model, tier=options.size, ratio=options.aspect)
    fields = _sampling(body, dict(options.fields))
    stream = body.flag("stream") or False
    counts_usage = body.group("stream_options").flag("include_usage") or False
    newer = body.text("safety_identifier", most=LONGEST_NAME)
    older = body.text("user", most=LONGEST_NAME)
    user = newer or older or None
    if talk.system:
        fields["system"] = "\n\n".join([*talk.system, *filter(None, [fields.get("system")])])
    prompt, pictures, notes = _told(talk, model)
    if not prompt.strip():
        body.problem("messages", "", "must end with a user message that has text.")
    body.check()
    as_markdown = options.style["images"] == "markdown"
    request = Request(
        prompt=prompt,
        model=model.id,
        size=shape.size,
        aspect=shape.aspect,
        pixels=shape.pixels,
        references=tuple(keep(picture) for picture in pictures),
    )
    return Wanted(
        request=replace(request, **fields),
        model=model.id,
        stream=stream,
        as_markdown=as_markdown,
        counts_usage=counts_usage,
        quality=shape.quality,
        user=user,
        notes=(*shape.notes, *notes),
        shape={
            "stream": stream,
            "images": "markdown" if as_markdown else "parts",
            "include_usage": counts_usage,
            "user": user,
        },
    )


def _sampling(body: Fields, fields: dict[str, Any]) -> dict[str, Any]:
    """OpenAI's own names for what options can say, too; these win nothing, they must agree."""
    given = {
        "seed": body.whole("seed", -INT32, INT32 - 1),
        "temperature": body.number("temperature", 0, 2),
        "top_p": body.number("top_p", 0, 1),
        "thinking": body.choice("reasoning_effort", _EFFORTS),
        "tier": _TIERS.get(body.choice("service_tier", tuple(_TIERS)) or "auto"),
    }
    search = body.raw("web_search_options")
    if search is not None:
        given["ground"] = "web"
        if search != {}:
            body.refuse("web_search_options", "must be {}: the search has no settings.")
    for name, value in given.items():
        if value is None:
            continue
        if fields.get(name, value) != value:
            body.problem(f"heliograph.{name}", fields[name], f"contradicts {value}.")
        fields[name] = value
    return fields


# ---------------------------------------------------------------- messages


def _talk(body: Fields) -> _Talk:
    talk = _Talk()
    messages = body.items("messages")
    if not messages:
        body.refuse("messages", "must have at least one message.")
    for number, item in enumerate(messages):
        message = body.entry(f"messages[{number}]", item)
        if message is not None:
            _message(message, talk)
    return talk


def _message(message: Fields, talk: _Talk) -> None:
    role = message.choice("role", _ROLES) or "user"
    if "role" not in message:
        message.refuse("role", f"must be one of {', '.join(_ROLES)}.", _ROLES)
    message.text("name", most=LONGEST_NAME)
    if "name" in message:
        message.refuse("name", "is nothing these models take.")
    turn = _Turn(role=role)
    content = message.raw("content")
    if isinstance(content, str):
        _text(turn, content)
    elif isinstance(content, list):
        for number, item in enumerate(content):
            part = message.entry(f"{message.path('content')}[{number}]", item)
            if part is not None:
                _part(part, turn)
    elif content is not None:
        message.refuse("content", "must be text or a list of parts.")
    if role == "assistant":
        # as we and aggregators answer, so that an answer can be sent back as it came
        for number, item in enumerate(message.items("images")):
            part = message.entry(f"{message.path('images')}[{number}]", item)
            if part is not None:
                part.raw("index")
                _part(part, turn)
        message.only("refusal", (), "cannot be told to the model; leave the message out.")
        message.only("tool_calls", ([],), "are nothing these models make.")
        for name in ("annotations", "reasoning", "reasoning_content"):
            message.raw(name)
    if role in ("system", "developer"):
        if turn.pictures:
            message.refuse("content", "must be text in a system message.")
        talk.system += [text for text in turn.texts if text.strip()]
    else:
        talk.turns.append(turn)


def _text(turn: _Turn, text: str) -> None:
    if turn.role != "assistant":
        turn.texts.append(text)
        return
    plain, pictures = pictures_in(text)
    turn.pictures += pictures
    if plain.strip():
        turn.texts.append(plain.strip())


def _part(part: Fields, turn: _Turn) -> None:
    kind = part.choice("type", ("text", "image_url"))
    if "type" not in part:
        part.refuse("type", "must be text or image_url.", ("text", "image_url"))
    if kind == "text":
        text = part.text("text")
        if "text" not in part:
            part.refuse("text", "is missing.")
        if text is not None:
            _text(turn, text)
    elif kind == "image_url":
        given = part.raw("image_url")
        holder = part if isinstance(given, str) else part.group("image_url")
        name = "image_url" if isinstance(given, str) else "url"
        if holder is not part:
            holder.only("detail", ("auto", "high"), "is always high with these models.")
        picture = read_picture(holder, name)
        if picture is not None:
            turn.pictures.append(picture)
    else:
        for name in part.names:
            part.raw(name)


def read_picture(holder: Fields, name: str) -> bytes | None:
    """The picture of a data URL; a problem where it is none.

    Raises:
        UrlInputsDisabled: it is an address.
    """
    text = holder.text(name, most=1 << 30)
    if text is None:
        if name not in holder:
            holder.refuse(name, "must be a data: URL of a picture.")
        return None
    try:
        return decode_data_url(text, holder.path(name))
    except ValueError as error:
        holder.refuse(name, f"{error}.")
        return None


def _told(talk: _Talk, model: Model) -> tuple[str, list[bytes], tuple[str, ...]]:
    """The prompt, its pictures in order, and what was left out."""
    turns = talk.turns
    if not turns or turns[-1].role != "user":
        return "", [], ()
    *earlier, last = turns
    asked = "\n\n".join(last.texts)
    if not earlier:
        return asked, last.pictures, ()
    room = max(0, model.can.references - len(last.pictures))
    surplus = max(0, sum(len(turn.pictures) for turn in earlier) - room)
    dropped, lines = surplus, []
    pictures: list[bytes] = []
    for turn in earlier:
        kept = turn.pictures[min(surplus, len(turn.pictures)) :]
        surplus -= len(turn.pictures) - len(kept)
        numbers = range(len(pictures) + 1, len(pictures) + len(kept) + 1)
        pictures += kept
        shown = f" (image {', '.join(map(str, numbers))} below)" if kept else ""
        who = "User" if turn.role == "user" else "You"
        lines.append(f"{who}{shown}: {' '.join(turn.texts)}".rstrip())
    if last.pictures:
        first, end = len(pictures) + 1, len(pictures) + len(last.pictures)
        span = str(first) if first == end else f"{first} to {end}"
        asked = f"{asked} (image {span} below)"
    pictures += last.pictures
    notes = (f"Pictures of earlier messages that were left out: {dropped}.",) if dropped else ()
    story = "\n".join(lines)
    return f"Our talk so far:\n{story}\n\nNow: {asked}", pictures, notes
