"""Answers without a picture, all of them HTTP 200; invariant: shapes and texts as in section 2.4.

What was filtered is free ("You will not be charged"); what the model chose to say instead of
drawing is billed by its usage numbers.
"""

import dataclasses
from collections.abc import Callable
from typing import get_args

from heliograph.emulator.faults.contract import Case, Fault, table
from heliograph.emulator.scene import ContentShape, Scene, Words

_POLICY = "[Generative AI Prohibited Use policy](https://policies.google.com/terms/generative-ai)"
_FEEDBACK = "If you think this was an error, [send feedback](https://ai.google.dev/feedback)."

_MESSAGES = {
    "IMAGE_SAFETY": (
        "Unable to show the generated image. The image was filtered out because it violated "
        f"Google's {_POLICY}. You will not be charged for blocked images. Try rephrasing the "
        f"prompt. {_FEEDBACK}"
    ),
    "IMAGE_OTHER": (
        "Unable to show the generated image. The model could not generate the image based on the "
        "prompt provided. You will not be charged for this request. Try rephrasing the prompt. "
        f"{_FEEDBACK}"
    ),
    "IMAGE_RECITATION": (
        "Unable to show the generated image. The image was filtered out because it may resemble "
        "existing works. You will not be charged for blocked images. Try rephrasing the prompt. "
        f"{_FEEDBACK}"
    ),
    "IMAGE_PROHIBITED_CONTENT": (
        "Unable to show the generated image. The image was filtered out because it violated "
        "Google's Responsible AI practices. You will not be charged for blocked images. Try "
        "rephrasing the prompt. Support code: 11030041."
    ),
    "NO_IMAGE": "Unable to show the generated image. The model did not produce an image.",
}
_CONTENTS = get_args(ContentShape)
# One transparent pixel.
_DOT = "data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7"


def _blocked(reason: str, *, charged: bool = False) -> Callable[[Scene, Case], Scene]:
    def apply(scene: Scene, case: Case) -> Scene:
        return dataclasses.replace(
            scene,
            parts=(),
            content=_content(case),
            finish_reason=reason,
            finish_message=_MESSAGES.get(reason, ""),
            charged=charged,
        )

    return apply


def _content(case: Case) -> ContentShape:
    wanted = case.choice("empty", *_CONTENTS)
    return next(shape for shape in _CONTENTS if shape == wanted)


def _prompt_blocked(scene: Scene, case: Case) -> Scene:
    return dataclasses.replace(
        scene,
        parts=(),
        thought_tokens=0,
        block_reason=case.arg or "PROHIBITED_CONTENT",
        charged=False,
    )


def _text_refusal(scene: Scene, _: Case) -> Scene:
    text = "I cannot create that picture. I can describe the scene for you instead."
    return dataclasses.replace(scene, parts=(Words(text=text),))


def _thoughts_only(scene: Scene, _: Case) -> Scene:
    text = "**Considering the request**\n\nStill weighing how to draw this.\n"
    return dataclasses.replace(scene, parts=(Words(text=text, thought=True),))


def _max_tokens(scene: Scene, _: Case) -> Scene:
    return dataclasses.replace(
        scene, parts=(Words(text="Here is the"),), finish_reason="MAX_TOKENS"
    )


def _image_link(scene: Scene, case: Case) -> Scene:
    target = _DOT if case.arg == "data" else case.arg or "http://127.0.0.1:9/picture.png"
    text = f"Here is your picture: ![picture]({target})"
    return dataclasses.replace(scene, parts=(Words(text=text),))


def _empty_candidates(scene: Scene, _: Case) -> Scene:
    return dataclasses.replace(
        scene, parts=(), thought_tokens=0, has_candidate=False, charged=False
    )


def _empty_content(scene: Scene, case: Case) -> Scene:
    return dataclasses.replace(scene, parts=(), content=_content(case), charged=False)


def _finish(scene: Scene, case: Case) -> Scene:
    if not case.arg:
        raise case.bad_argument("a finishReason")
    return _blocked(case.arg)(scene, dataclasses.replace(case, arg=""))


FAULTS = table(
    Fault(
        name="image-safety",
        explain="IMAGE_SAFETY, free; ARG content shape empty|role|null|absent (empty)",
        scene=_blocked("IMAGE_SAFETY"),
    ),
    Fault(
        name="image-other", explain="IMAGE_OTHER, free; ARG as above", scene=_blocked("IMAGE_OTHER")
    ),
    Fault(
        name="no-image",
        explain="NO_IMAGE, input and thinking billed; ARG as above",
        scene=_blocked("NO_IMAGE", charged=True),
    ),
    Fault(
        name="image-recitation",
        explain="IMAGE_RECITATION, free; ARG as above",
        scene=_blocked("IMAGE_RECITATION"),
    ),
    Fault(
        name="image-prohibited",
        explain="IMAGE_PROHIBITED_CONTENT, free; ARG as above",
        scene=_blocked("IMAGE_PROHIBITED_CONTENT"),
    ),
    Fault(name="safety", explain="SAFETY, free; ARG as above", scene=_blocked("SAFETY")),
    Fault(name="finish", explain="no picture, finishReason is ARG, free", scene=_finish),
    Fault(
        name="prompt-blocked",
        explain="no candidates, promptFeedback.blockReason ARG (PROHIBITED_CONTENT), free",
        scene=_prompt_blocked,
    ),
    Fault(name="text-refusal", explain="STOP with text only, billed by usage", scene=_text_refusal),
    Fault(
        name="image-link",
        explain="STOP with a link in the text, ARG its address or data for a data URL; billed by "
        "usage",
        scene=_image_link,
    ),
    Fault(
        name="thoughts-only",
        explain="STOP with thought parts only, billed by usage",
        scene=_thoughts_only,
    ),
    Fault(name="max-tokens", explain="MAX_TOKENS, billed by usage", scene=_max_tokens),
    Fault(
        name="empty-candidates",
        explain="candidates is an empty list, free",
        scene=_empty_candidates,
    ),
    Fault(
        name="empty-content",
        explain="STOP without content, free; ARG empty|role|null|absent (empty)",
        scene=_empty_content,
    ),
)
