"""The nouns: Request → Plan → Reply → Image → Record → Result.

All frozen and keyword-only. Each step of the pipeline takes one and returns the next; nothing
reaches back. Units: pixels, bytes, seconds, micro-dollars (1e-6 $).
"""

from heliograph.types.plan import (
    Alternative,
    Area,
    Cast,
    Estimate,
    ExportSpec,
    Material,
    Part,
    Plan,
    PricedModel,
    Reference,
    Turn,
)
from heliograph.types.record import (
    SUFFIX_KINDS,
    KeptImage,
    LedgerLine,
    Outcome,
    Record,
    Result,
)
from heliograph.types.reply import (
    Export,
    Grounding,
    Header,
    Image,
    Reply,
    ReplyImage,
    ReplyText,
    Role,
    Signature,
    Timing,
    Usage,
    Verdict,
)
from heliograph.types.request import (
    NOTHING,
    ROLES,
    Anchor,
    Finish,
    Given,
    Pixels,
    Request,
)

__all__ = [
    "NOTHING",
    "ROLES",
    "SUFFIX_KINDS",
    "Alternative",
    "Anchor",
    "Area",
    "Cast",
    "Estimate",
    "Export",
    "ExportSpec",
    "Finish",
    "Given",
    "Grounding",
    "Header",
    "Image",
    "KeptImage",
    "LedgerLine",
    "Material",
    "Outcome",
    "Part",
    "Pixels",
    "Plan",
    "PricedModel",
    "Record",
    "Reference",
    "Reply",
    "ReplyImage",
    "ReplyText",
    "Request",
    "Result",
    "Role",
    "Signature",
    "Timing",
    "Turn",
    "Usage",
    "Verdict",
]
