"""Teaches schemathesis what the document's formats are, and what no schema can say.

A schema says what each member may be, and which members go together. It cannot say what two values
have to do with each other: that a region lies in the picture beside it, that a prompt has the
places that its variables are for. `agree` brings a body that fits the document to such agreement;
nothing else is changed, no check is, and what does not fit the document is sent as it is.
"""

import base64
import io
import itertools
import re
import uuid
from typing import Any

import schemathesis
from hypothesis import strategies as st
from PIL import Image

SIDE = 64  # px of every picture that is drawn here
PLACE = re.compile(r"\$\{([a-z_]+)\}")
GOOD = {
    "text": "a lake",
    "words": "OPEN",
    "number": "1.5",
    "integer": "2",
    "colour": "deep teal",
}
ENOUGH = 10_000_000  # micro-dollars; no single picture costs as much
KEY = "Idempotency-Key"


def _picture(kind: str, colour: str) -> str:
    file = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), colour).save(file, kind)
    return base64.b64encode(file.getvalue()).decode()


PICTURES = [
    _picture(kind, colour) for kind in ("PNG", "JPEG", "WEBP") for colour in ("red", "blue")
]
MASKS = [_picture("PNG", "white")]
# each is within what the smallest and the largest original reach
SMALL_USES = ["10x15 cm at 150 dpi", "8x8 cm at 200 dpi", "web 800px", "640x480 px", "web 900x600"]
LARGE_USES = [*SMALL_USES, "4k wallpaper", "A4 print", "20x30 cm at 250 dpi landscape"]

schemathesis.openapi.format("picture", st.sampled_from(PICTURES))
schemathesis.openapi.format("mask", st.sampled_from(MASKS))
schemathesis.openapi.format("use-1K", st.sampled_from(SMALL_USES))
schemathesis.openapi.format("use-4K", st.sampled_from(LARGE_USES))
schemathesis.openapi.format(
    "template",
    st.lists(
        st.sampled_from(
            ["A ", "${colour}", " fox, ", "${place}", "{snow|rain}", "\\{", "{2$$a|b|c}"]
        ),
        min_size=1,
    ).map(lambda parts: "x" + "".join(parts)),
)


# what this Python can print; of newer characters it knows nothing
schemathesis.openapi.format(
    "session-name",
    st.text(
        st.characters(categories=["L", "M", "N", "P", "S"], include_characters=" "), max_size=50
    ).map(lambda text: f"n{text}" if text else ""),
)


@schemathesis.hook
def before_call(context: Any, case: Any, kwargs: dict[str, Any]) -> None:
    """Lets members agree, in cases that fit the document."""
    del context
    if case.meta is None or not case.meta.generation.mode.is_positive:
        return
    if KEY in (case.headers or {}):
        case.headers[KEY] = str(uuid.uuid4())  # a key stands for one request, for ever
    if isinstance(case.body, dict):
        agree(case.operation.path, case.body)
    if isinstance(case.query, dict) and case.query.get("cursor") is not None:
        follow(case, kwargs)


def agree(path: str, body: dict[str, Any]) -> None:
    """Brings the members of a body to agreement."""
    if path in ("/plans", "/jobs", "/sessions", "/sessions/{session_id}/turns"):
        _one_picture(body)
        _area(body, has_picture=path.startswith("/sessions"))
        _size(body)
        _fallback(body)
        _limit(body)
    if "references" in body:
        _names(body["references"])
    if path == "/prompts/{name}":
        _places(body)


def _one_picture(body: dict[str, Any]) -> None:
    """What is changed came along, or is kept; with it there are 14 at most."""
    if body.get("base") is not None:
        body.pop("follows", None)
    if body.get("references"):
        body["references"] = body["references"][:12]


def _area(body: dict[str, Any], *, has_picture: bool) -> None:
    """An area is one of a picture and lies in it; with the rest kept, the ratio is kept, too."""
    has_picture = has_picture or bool(body.get("base") or body.get("follows"))
    if not has_picture and (body.get("region") or body.get("mask")):
        body["base"] = {"data": PICTURES[0]}
    if body.get("region"):
        left, top, width, height = (int(number) % (SIDE // 2) for number in body["region"])
        body["region"] = [left, top, width + 1, height + 1]
    if body.get("protect"):
        for name in ("aspect", "pixels", "use"):
            body.pop(name, None)
        if body.get("finish"):
            body["finish"].pop("format", None)


def _size(body: dict[str, Any]) -> None:
    """A size or a ratio beside exact pixels covers them."""
    if body.get("pixels") or body.get("use"):
        body.pop("size", None)
        body.pop("aspect", None)


def _fallback(body: dict[str, Any]) -> None:
    """A fallback can make the same picture."""
    particular = ("size", "aspect", "pixels", "use", "thinking", "ground", "tier", "region", "mask")
    others = [name for name in dict.fromkeys(body.get("fallback", ())) if name != body.get("model")]
    if not others:
        return
    is_plain = body.get("model") and not any(body.get(name) for name in particular)
    body["fallback"] = others if is_plain else []
    body["allow_downgrade"] = True


def _limit(body: dict[str, Any]) -> None:
    """A limit is above the price."""
    if body.get("max_cost") is not None:
        body["max_cost"] = max(body["max_cost"], ENOUGH)


def _names(references: list[dict[str, Any]]) -> None:
    """No two pictures have one name."""
    for number, each in enumerate(references):
        if each.get("name"):
            each["name"] = f"{each['name'][:30]}-{number}x"


def _places(body: dict[str, Any]) -> None:
    """There is one variable for each place of the prompt, and its default is of its type."""
    places = dict.fromkeys(PLACE.findall(body["prompt"]))
    given = list(body.get("variables", {}).values())
    named = dict(zip(places, itertools.chain(given, itertools.repeat({})), strict=False))
    body["variables"] = {name: {**variable} for name, variable in named.items()}
    for variable in body["variables"].values():
        if variable.get("default") is not None:
            kind = variable.get("type", "text")
            variable["default"] = variable["choices"][0] if kind == "choice" else GOOD[kind]


def follow(case: Any, kwargs: dict[str, Any]) -> None:
    """A cursor is one that the same list gave."""
    wanted = {name: value for name, value in case.query.items() if name != "cursor"}
    first = case.operation.Case(query={**wanted, "limit": 1}, headers=case.headers)
    found = first.call(**kwargs).json().get("next")
    case.query = wanted if found is None else {**wanted, "cursor": found}
