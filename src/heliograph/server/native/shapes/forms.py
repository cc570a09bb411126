"""What the texts of a request must look like, and how that is said to people.

Invariant: whoever writes a wrong one is told in words and by an example, not by a pattern.
"""

from collections.abc import Mapping

SIZE = r"^(512|[124][kK])$"
RATIO = r"^[1-9][0-9]{0,2}:[1-9][0-9]{0,2}$"
PIXELS = r"^[1-9][0-9]{0,4}x[1-9][0-9]{0,4}$"
MODEL = r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"
TAG = r"^[A-Za-z0-9._-]{1,64}$"
LABEL = r"^[A-Za-z][A-Za-z0-9_-]{0,39}$"
CONTEXT = r"^(all|lineage|last-[1-9][0-9]{0,2})$"
SAYS = r"[^\s\x00-\x20\x7f-\xa0]"  # something to see
# no control characters, no half surrogate pairs, and something to see
NAME = r"^[^\x00-\x1f\x7f-\x9f\s][^\x00-\x1f\x7f-\x9f]*$"

# what is wrong with another text, and texts that are right
WORDS: Mapping[str, tuple[str, tuple[str, ...]]] = {
    SIZE: ("is no size tier.", ("4K", "2K", "1K", "512")),
    RATIO: ("is no ratio.", ("16:9", "1:1", "9:16")),
    PIXELS: ("is no width and height in px.", ("4096x2304",)),
    MODEL: ("is no id of a model.", ("gemini-3-pro-image",)),
    TAG: ("may hold letters, digits, dots, dashes and underscores.", ("campaign-7",)),
    LABEL: ("must be a letter, and then letters, digits, dashes or underscores.", ("hero",)),
    CONTEXT: ("must be all, lineage or last-N.", ("all", "lineage", "last-3")),
    SAYS: ("has nothing in it that can be seen.", ()),
    NAME: ("must begin with something to see, and hold no control characters.", ()),
}
