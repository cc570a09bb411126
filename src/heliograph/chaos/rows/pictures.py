"""F19 to F27: the answer is whole, and its picture is not what was asked for.

Invariant: what is no intact image is never delivered as one, and what is smaller is never silent.
"""

from heliograph.chaos.checks import (
    charged,
    kept_format,
    no_tail,
    quarantined,
    stages,
    verdict,
    warned,
)
from heliograph.chaos.row import KEPT, Ask, Case, Row
from heliograph.journal import Stage

CORRUPT = ("corrupt_image",)
FOUR_K = {"size": "4K"}


def _spoilt(*faults: str) -> tuple[Case, ...]:
    return tuple(
        Case(
            name=fault,
            asks=(Ask(fault=fault),),
            ends=CORRUPT,
            checks=(charged("yes"), quarantined, stages(Stage.QUARANTINED)),
        )
        for fault in faults
    )


PICTURES: tuple[Row, ...] = (
    Row(
        id="F19",
        title="Base64 cut, with a bad alphabet, with white space",
        expects="decoded strictly: nothing of it is stored as a success",
        promises=(5,),
        cases=_spoilt("cut-base64", "bad-base64", "whitespace-base64"),
    ),
    Row(
        id="F20",
        title="Declared PNG, bytes JPEG",
        expects="stored and named as what it is",
        promises=(5,),
        cases=(
            Case(name="mime", asks=(Ask(fault="mime:image/png"),), checks=(kept_format("jpeg"),)),
        ),
    ),
    Row(
        id="F21",
        title="Declared PNG, bytes HTML, SVG or nothing",
        expects="quarantine, never an image",
        promises=(5,),
        cases=_spoilt("image:html", "image:svg", "image:zero"),
    ),
    Row(
        id="F22",
        title="1K image for a 4K order",
        expects="delivered as downgraded and priced as what came; strict refuses it",
        promises=(7,),
        cases=(
            Case(
                name="told",
                asks=(Ask(fault="silent-1k", options=FOUR_K),),
                checks=(verdict("downgraded"), warned),
            ),
            Case(
                name="strict",
                asks=(Ask(fault="silent-1k", options={**FOUR_K, "strict": True}),),
                ends=("size_mismatch",),
                checks=(verdict("downgraded"), charged("yes")),
            ),
        ),
    ),
    Row(
        id="F23",
        title="Another ratio",
        expects="delivered as ratio_mismatch; strict refuses it",
        promises=(7,),
        cases=(
            Case(
                name="told",
                asks=(Ask(fault="wrong-ratio:9:16", options={"aspect": "16:9"}),),
                checks=(verdict("ratio_mismatch"), warned),
            ),
            Case(
                name="strict",
                asks=(Ask(fault="wrong-ratio:9:16", options={"aspect": "16:9", "strict": True}),),
                ends=("size_mismatch",),
                checks=(charged("yes"),),
            ),
        ),
    ),
    Row(
        id="F24",
        title="PNG bit flip; JPEG cut, also with a forged end",
        expects="detected by checksum or by decoding",
        promises=(5,),
        cases=_spoilt("image:bitflip", "image:cut", "image:forged_eoi"),
    ),
    Row(
        id="F25",
        title="Decompression bomb of 20,000 x 20,000 px",
        expects="refused from its header",
        cases=_spoilt("image:bomb"),
    ),
    Row(
        id="F26",
        title="Animated image",
        expects="its first frame, or refused",
        cases=(
            Case(
                name="three frames",
                asks=(Ask(fault="image:animated"),),
                ends=(KEPT, *CORRUPT),
            ),
        ),
    ),
    Row(
        id="F27",
        title="Bytes after the end of the image",
        expects="stored cut at its end, noted",
        cases=(Case(name="tail", asks=(Ask(fault="image:trailing"),), checks=(warned, no_tail)),),
    ),
)
