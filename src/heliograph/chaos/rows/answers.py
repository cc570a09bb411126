"""F28 to F37: a whole answer without an image, with several, or that makes no sense.

Invariant: a refusal is never asked again and never carried to another project.
"""

from heliograph.chaos.checks import charged, images_kept, stages
from heliograph.chaos.faces import GEMINI, LIBRARY
from heliograph.chaos.row import KEPT, Ask, Case, Project, Row, Span, exactly, up_to
from heliograph.chaos.talks import ten_turns, ten_turns_of_contents
from heliograph.journal import Stage

BLOCKED = ("policy_blocked",)
NO_IMAGE = ("no_image",)
TWO = (Project(), Project())


def _free(ends: tuple[str, ...], *faults: str) -> tuple[Case, ...]:
    """One call at the first of two projects, nothing billed, nowhere else tried."""
    return tuple(
        Case(
            name=fault,
            asks=(Ask(fault=fault),),
            projects=TWO,
            billed=exactly(0),
            ends=ends,
            checks=(charged("no"),),
        )
        for fault in faults
    )


def _billed(ends: tuple[str, ...], *faults: str) -> tuple[Case, ...]:
    return tuple(
        Case(
            name=fault,
            asks=(Ask(fault=fault),),
            projects=TWO,
            ends=ends,
            checks=(charged("yes"), stages(Stage.REFUSED)),
        )
        for fault in faults
    )


ANSWERS: tuple[Row, ...] = (
    Row(
        id="F28",
        title="The prompt is blocked",
        expects="policy_blocked: no repeat, no other project",
        promises=(8,),
        cases=_free(BLOCKED, "prompt-blocked", "prompt-blocked:SAFETY"),
    ),
    Row(
        id="F29",
        title="SAFETY, IMAGE_SAFETY, PROHIBITED_CONTENT, SPII, BLOCKLIST, RECITATION",
        expects="policy_blocked: no repeat, no other project",
        promises=(8,),
        seconds=2,
        cases=_free(
            BLOCKED,
            *("safety", "image-safety", "image-prohibited", "image-recitation"),
            *("finish:SPII", "finish:BLOCKLIST", "finish:PROHIBITED_CONTENT", "finish:RECITATION"),
        ),
    ),
    Row(
        id="F30",
        title="NO_IMAGE, IMAGE_OTHER, text only, MAX_TOKENS",
        expects="no_image with the model's text; settled as far as it was billed",
        promises=(5,),
        cases=(
            *_billed(NO_IMAGE, "no-image", "text-refusal", "max-tokens"),
            *_free((*NO_IMAGE, *BLOCKED), "image-other"),
        ),
    ),
    Row(
        id="F31",
        title="Thoughts only; several images",
        expects="a thought is never the result; the last image is, all are settled and kept",
        promises=(5,),
        seconds=2,
        cases=(
            *_billed(NO_IMAGE, "thoughts-only"),
            Case(
                name="thought-first", asks=(Ask(fault="thought-first"),), checks=(images_kept(1),)
            ),
            *(
                Case(
                    name=f"{extra} extra",
                    asks=(Ask(fault=f"extra-images:{extra}"),),
                    checks=(images_kept(extra + 1),),
                )
                for extra in (1, 2, 9)
            ),
        ),
    ),
    Row(
        id="F32",
        title="Candidates empty, content empty, parts null",
        expects="no_image, free",
        seconds=2,
        cases=_free(
            NO_IMAGE,
            "empty-candidates",
            *(f"empty-content:{shape}" for shape in ("empty", "role", "null", "absent")),
        ),
    ),
    Row(
        id="F33",
        title="Unknown finish reason, unknown field",
        expects="the image, when there is one",
        cases=(
            *(
                Case(name=fault, asks=(Ask(fault=fault),))
                for fault in ("unknown-finish", "unknown-field", "image-only", "image-first")
            ),
            Case(
                name="unknown reason without an image",
                asks=(Ask(fault="finish:SOMETHING_NEW"),),
                billed=exactly(0),
                ends=("no_image", "upstream_protocol", *BLOCKED),
            ),
        ),
    ),
    Row(
        id="F34",
        title="A talk's history lost a signature",
        expects="ten turns of a session are accepted, any change to what is kept is refused, and "
        "a model that steps in is said not to know the context",
        seconds=4,
        # the model that is gone is asked once; the one that steps in is the eleventh that is billed
        cases=(
            Case(
                name="ten turns",
                calls=exactly(12),
                billed=exactly(11),
                play=ten_turns,
                faces=(LIBRARY,),
            ),
            # ten turns, and two that a changed history makes upstream refuse
            Case(
                name="ten turns of contents",
                calls=exactly(12),
                billed=exactly(10),
                ends=(KEPT, "request_rejected"),
                play=ten_turns_of_contents,
                faces=(GEMINI,),
            ),
        ),
    ),
    Row(
        id="F35",
        title="JSON keys twice in one object",
        expects="refused as no answer, never settled twice",
        promises=(5,),
        cases=tuple(
            Case(
                name=name,
                asks=(Ask(fault=f"duplicate-keys:{name}"),),
                billed=up_to(1),
                ends=("upstream_protocol", "outcome_unknown"),
            )
            for name in ("data", "candidates", "usageMetadata")
        ),
    ),
    Row(
        id="F36",
        title="HTTP 200 with an error inside",
        expects="classified by the inner code, never a success",
        seconds=4,
        cases=(
            *(
                Case(
                    name=f"{fault} 503",
                    asks=(Ask(fault=fault),),
                    calls=Span(1, 3),
                    billed=exactly(0),
                    ends=("overloaded",),
                )
                for fault in ("error-200", "error-list-200")
            ),
            Case(
                name="error-200 429",
                asks=(Ask(fault="error-200:429*1"),),
                calls=exactly(2),
                ends=(KEPT,),
            ),
        ),
    ),
    Row(
        id="F37",
        title="HTML from a box on the way",
        expects="no answer; its words are not shown",
        seconds=4,
        cases=(
            Case(
                name="body-html",
                asks=(Ask(fault="body-html"),),
                calls=up_to(2),
                billed=exactly(0),
                ends=("upstream_protocol", "outcome_unknown"),
            ),
            Case(
                name="bad-gateway",
                asks=(Ask(fault="bad-gateway"),),
                calls=up_to(2),
                billed=exactly(0),
                # nobody knows what the box did with the request it had wholly received
                ends=("upstream_protocol", "outcome_unknown"),
            ),
        ),
    ),
)
