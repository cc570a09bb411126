"""The public names, exactly. Adding one here is a decision; removing one breaks callers."""

import heliograph

EXPECTED: frozenset[str] = frozenset(
    {
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
    }
)


def test_public_names_are_exact() -> None:
    assert len(heliograph.__all__) == len(set(heliograph.__all__))
    assert set(heliograph.__all__) == EXPECTED


def test_every_public_name_can_be_had() -> None:
    for name in EXPECTED:
        assert getattr(heliograph, name) is not None
    assert set(dir(heliograph)) >= EXPECTED


def test_a_wrong_name_is_an_attribute_error() -> None:
    assert not hasattr(heliograph, "Heliograf")
