"""Which modules are the pure heart, and which quick tests must notice any change to them.

Invariant: the tests named here need no network, no database and no picture, and each module is
proven by its own tests, not by luck of those of its neighbours.
"""

from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src"

# the module, below `heliograph`, and its test files, below `tests`
SUBJECTS: Mapping[str, tuple[str, ...]] = {
    "ledger": ("unit/test_ledger.py",),
    "money": ("unit/test_money.py",),
    "journal": ("unit/test_journal.py",),
    "cache": ("unit/test_cache.py",),
    "providers.classify": ("providers/test_classify.py",),
    "providers.kinds": ("providers/test_kinds.py",),
    "providers.breaker": ("providers/test_breaker.py",),
    "providers.turnstile": ("providers/test_turnstile.py",),
    "providers.retry_budget": ("providers/test_retry_budget.py",),
    "providers.gates": ("providers/test_gates.py",),
    "providers.pool": ("providers/test_pool.py",),
    "providers.salvage": ("providers/test_salvage.py",),
}


def source_of(module: str) -> Path:
    """The file of a module."""
    return SRC / "heliograph" / f"{module.replace('.', '/')}.py"


def quick_tests(module: str) -> tuple[str, ...]:
    """Its test files, relative to the root of the repository."""
    return tuple(f"tests/{name}" for name in SUBJECTS[module])
