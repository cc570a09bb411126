"""What is not wanted, said as what is: these models draw what a prompt names, the "no" is lost.

Invariant: nothing is dropped; what the table does not know is kept word for word.
"""

import re

POSITIVE = {
    "sharp focus on the subject": ("blur", "blurry", "out of focus", "unsharp", "soft focus"),
    "clean surfaces, free of lettering": ("text", "words", "letters", "writing", "typography"),
    "a clean image, free of watermarks": ("watermark", "watermarks"),
    "unbranded objects, free of logos": ("logo", "logos", "branding"),
    "an unsigned image": ("signature",),
    "an empty scene, free of people": ("people", "persons", "humans", "crowd", "crowds"),
    "an empty street, free of traffic": ("cars", "traffic", "vehicles"),
    "a plain, tidy background": ("clutter", "cluttered background", "busy background"),
    "natural proportions": ("distortion", "distorted", "deformed", "bad proportions"),
    "anatomically correct bodies": ("bad anatomy", "mutated", "extra limbs"),
    "natural hands with five fingers": ("bad hands", "extra fingers", "missing fingers"),
    "fine, smooth tones": ("noise", "noisy", "grain", "grainy"),
    "crisp detail, free of artefacts": (
        *("artifacts", "artefacts", "jpeg artifacts", "compression artifacts"),
        *("low quality", "worst quality", "low resolution", "lowres", "pixelated"),
    ),
    "the whole subject inside the frame": ("cropped", "cut off", "out of frame"),
    "balanced, bright exposure": ("dark", "too dark", "underexposed"),
    "highlights that keep their detail": ("overexposed", "blown highlights"),
    "restrained, natural colour": ("oversaturated", "garish colours", "garish colors"),
    "soft, open shadows": ("harsh shadows", "hard shadows"),
    "one single picture": ("collage", "split screen", "multiple panels", "duplicates"),
    "an image that fills the frame to its edges": ("border", "borders", "frame"),
}
_KNOWN = {word: positive for positive, words in POSITIVE.items() for word in words}
_NO = re.compile(r"\A(?:no|not|without|avoid|never|do(?: not|n't) show)\s+", re.IGNORECASE)
_ARTICLE = re.compile(r"\A(?:an?|any|the)\s+", re.IGNORECASE)


def positive(unwanted: str) -> str:
    """The constraint that keeps something out of the picture."""
    words = _NO.sub("", unwanted.strip().rstrip(".;,"))
    plain = " ".join(_ARTICLE.sub("", words).lower().split())
    return _KNOWN.get(plain, f"free of {words}")


def constraints(unwanted: tuple[str, ...]) -> tuple[str, ...]:
    """Constraints in the order given, each once; an entry may hold several, with commas."""
    single = (part for entry in unwanted for part in _parts(entry))
    return tuple(dict.fromkeys(positive(part) for part in single))


def _parts(entry: str) -> list[str]:
    # a comma within a wildcard or a variable belongs to it
    if any(mark in entry for mark in "{}|$"):
        return [entry] if entry.strip() else []
    return [part for part in re.split(r"[,;]", entry) if part.strip()]
