"""Heliograph makes 4K images through the Gemini API and takes responsibility for each one.

    from heliograph import Heliograph

    with Heliograph(simulate=True) as helio:
        result = helio.generate("A snow leopard at golden hour", aspect="16:9", size="4K")
        print(result.pixels, result.verdict, result.save("leopard.jpg"))

Importing this package is cheap: everything is loaded on first use.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from heliograph.client import AsyncHeliograph
    from heliograph.errors import (
        BudgetExceeded,
        ConfigurationError,
        CorruptImage,
        CostLimitExceeded,
        CredentialRejected,
        HeliographError,
        InvalidRequest,
        KeyReused,
        MissingKey,
        NoImage,
        OutcomeUnknown,
        Overloaded,
        PolicyBlocked,
        QuotaExhausted,
        RateLimited,
        Refused,
        SizeMismatch,
        StorageError,
        UpstreamClosed,
        UpstreamError,
    )
    from heliograph.journal import CallEntry, Stage
    from heliograph.ledger import Balance
    from heliograph.sync import Heliograph
    from heliograph.types import Finish, Given, Pixels, Plan, Record, Request, Result, Verdict

__version__ = "0.1.0"

_HOMES = {
    "AsyncHeliograph": "client",
    "Balance": "ledger",
    "CallEntry": "journal",
    "Heliograph": "sync",
    "Stage": "journal",
    **dict.fromkeys(
        ("Finish", "Given", "Pixels", "Plan", "Record", "Request", "Result", "Verdict"), "types"
    ),
    **dict.fromkeys(
        (
            "BudgetExceeded",
            "ConfigurationError",
            "CorruptImage",
            "CostLimitExceeded",
            "CredentialRejected",
            "HeliographError",
            "InvalidRequest",
            "KeyReused",
            "MissingKey",
            "NoImage",
            "OutcomeUnknown",
            "Overloaded",
            "PolicyBlocked",
            "QuotaExhausted",
            "RateLimited",
            "Refused",
            "SizeMismatch",
            "StorageError",
            "UpstreamClosed",
            "UpstreamError",
        ),
        "errors",
    ),
}

__all__ = [
    "AsyncHeliograph",
    "Balance",
    "BudgetExceeded",
    "CallEntry",
    "ConfigurationError",
    "CorruptImage",
    "CostLimitExceeded",
    "CredentialRejected",
    "Finish",
    "Given",
    "Heliograph",
    "HeliographError",
    "InvalidRequest",
    "KeyReused",
    "MissingKey",
    "NoImage",
    "OutcomeUnknown",
    "Overloaded",
    "Pixels",
    "Plan",
    "PolicyBlocked",
    "QuotaExhausted",
    "RateLimited",
    "Record",
    "Refused",
    "Request",
    "Result",
    "SizeMismatch",
    "Stage",
    "StorageError",
    "UpstreamClosed",
    "UpstreamError",
    "Verdict",
    "__version__",
]


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'heliograph' has no attribute {name!r}")
    return getattr(import_module(f"heliograph.{home}"), name)


def __dir__() -> list[str]:
    return __all__
