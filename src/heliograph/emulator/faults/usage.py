"""Usage numbers that lie; invariant: the bill keeps the true ones, which is what they test."""

from collections.abc import Callable

from heliograph.emulator.faults.contract import Case, Fault, table
from heliograph.emulator.reply import Tree

_HUGE = 10**18


def _missing(tree: Tree, _: Case) -> Tree:
    return {key: value for key, value in tree.items() if key != "usageMetadata"}


def _counts(change: Callable[[int], int]) -> Callable[[Tree, Case], Tree]:
    def apply(tree: Tree, _: Case) -> Tree:
        usage: Tree = dict(tree.get("usageMetadata", {}))
        for key, value in usage.items():
            if isinstance(value, int):
                usage[key] = change(value)
        if rows := usage.get("candidatesTokensDetails"):
            usage["candidatesTokensDetails"] = [
                {**row, "tokenCount": change(row["tokenCount"])} for row in rows
            ]
        return {**tree, "usageMetadata": usage}

    return apply


def _nan(tree: Tree, _: Case) -> Tree:
    usage = {**tree.get("usageMetadata", {}), "candidatesTokenCount": float("nan")}
    return {**tree, "usageMetadata": usage}


FAULTS = table(
    Fault(name="usage-missing", explain="no usageMetadata", tree=_missing),
    Fault(name="usage-negative", explain="all counts negative", tree=_counts(lambda count: -count)),
    Fault(name="usage-huge", explain="all counts 10^18", tree=_counts(lambda _: _HUGE)),
    Fault(name="usage-nan", explain="candidatesTokenCount is NaN, which is not JSON", tree=_nan),
)
