"""Small wrong changes to a module, each made alone: what its tests must notice.

Invariant: the tree is changed only by `Mutant.apply`, once, in a process of its own; docstrings,
annotations, decorators, imports and sentences written for people are left alone.
"""

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass

OPPOSITE: dict[type[ast.cmpop], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
    ast.NotIn: (ast.In,),
}
ARITHMETIC: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.Mult,
    ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
    ast.BitAnd: ast.BitOr,
    ast.LShift: ast.RShift,
    ast.RShift: ast.LShift,
}
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any", "sorted": "list"}
LEFT_ALONE = {"annotation", "returns", "decorator_list", "type_params"}
ELSEWHERE = "~"  # what a changed string becomes
_NAMED = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One change."""

    line: int
    where: str  # "Gate.may_pass", or "module"
    code: str  # the source line, without indentation
    change: str  # "< → <="
    apply: Callable[[], None]  # makes the change in the tree

    @property
    def name(self) -> tuple[str, str, str]:
        """What it is called in the list of equivalent mutants; line numbers move too often."""
        return self.where, self.code, self.change


@dataclass(frozen=True, kw_only=True)
class _Spot:
    """Where a node hangs in the tree."""

    parent: ast.AST
    field: str
    index: int | None

    def put(self, new: ast.AST) -> None:
        old = self.get()
        ast.copy_location(new, old)
        ast.fix_missing_locations(new)
        if self.index is None:
            setattr(self.parent, self.field, new)
        else:
            getattr(self.parent, self.field)[self.index] = new

    def get(self) -> ast.AST:
        value = getattr(self.parent, self.field)
        found = value if self.index is None else value[self.index]
        if not isinstance(found, ast.AST):
            raise TypeError(f"{self.field} holds no node")
        return found


def mutants(text: str) -> tuple[ast.Module, list[Mutant]]:
    """The tree of a module and every change to it, in the order of its lines."""
    tree = ast.parse(text)
    lines = text.splitlines()
    found: list[Mutant] = []
    seen: dict[tuple[str, str, str], int] = {}
    for node, where, change, apply in _Search(tree).changes():
        code = lines[node.lineno - 1].strip()
        count = seen[where, code, change] = seen.get((where, code, change), 0) + 1
        numbered = change if count == 1 else f"{change} ({count})"
        found.append(Mutant(line=node.lineno, where=where, code=code, change=numbered, apply=apply))
    return tree, sorted(found, key=lambda mutant: mutant.line)


Change = tuple[str, Callable[[], None]]


class _Search:
    """Walks a tree and tells every change that could be made."""

    def __init__(self, tree: ast.Module) -> None:
        self._tree = tree
        self._names: list[str] = []
        self._constant_name = False  # inside `NAME = …` of the module

    def changes(self) -> Iterator[tuple[ast.expr | ast.stmt, str, str, Callable[[], None]]]:
        yield from self._below(self._tree)

    def _below(
        self, parent: ast.AST
    ) -> Iterator[tuple[ast.expr | ast.stmt, str, str, Callable[[], None]]]:
        for field, value in ast.iter_fields(parent):
            if field in LEFT_ALONE:
                continue
            for index, node in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(node, ast.AST) and not _is_left_alone(node):
                    spot = _Spot(
                        parent=parent, field=field, index=index if isinstance(value, list) else None
                    )
                    yield from self._at(spot, node)

    def _at(
        self, spot: _Spot, node: ast.AST
    ) -> Iterator[tuple[ast.expr | ast.stmt, str, str, Callable[[], None]]]:
        if isinstance(node, ast.expr | ast.stmt):
            for what, apply in self._of(spot, node):
                yield node, ".".join(self._names) or "module", what, apply
        named = node if isinstance(node, _NAMED) else None
        is_table = isinstance(spot.parent, ast.Module) and isinstance(
            node, ast.Assign | ast.AnnAssign
        )
        if named:
            self._names.append(named.name)
        self._constant_name = self._constant_name or is_table
        yield from self._below(node)
        if is_table:
            self._constant_name = False
        if named:
            self._names.pop()

    def _of(self, spot: _Spot, node: ast.expr | ast.stmt) -> Iterator[Change]:
        if isinstance(node, ast.stmt):
            yield from _statement(spot, node)
        elif isinstance(node, ast.Constant):
            yield from _constant(spot, node, self._constant_name)
        elif isinstance(node, ast.Dict):
            yield from _table(node, self._constant_name)
        elif isinstance(node, ast.Set | ast.List | ast.Tuple):
            if not isinstance(node, ast.Tuple) or (
                isinstance(node.ctx, ast.Load)
                and (self._constant_name or isinstance(spot.parent, ast.Compare))
            ):
                yield from _elements(node)
        else:
            yield from _expression(spot, node)
        if spot.field == "test" and isinstance(spot.parent, ast.If | ast.IfExp):
            yield from _forced(spot, node, (True, False))
        if spot.field == "test" and isinstance(spot.parent, ast.While):
            yield from _forced(spot, node, (False,))
        if spot.field == "ifs":
            yield from _forced(spot, node, (True, False))


def _is_left_alone(node: ast.AST) -> bool:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return True
    if isinstance(node, ast.Call) and ast.unparse(node.func) == "TypeVar":
        return True
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)


def _short(node: ast.AST) -> str:
    text = " ".join(ast.unparse(node).split())
    return text if len(text) <= 60 else f"{text[:59]}…"


def _swap(spot: _Spot, node: ast.AST, new: ast.AST) -> Change:
    return f"{_short(node)} → {_short(new)}", lambda: spot.put(new)


def _forced(spot: _Spot, node: ast.AST, values: tuple[bool, ...]) -> Iterator[Change]:
    if not isinstance(node, ast.Constant):
        for value in values:
            yield f"if {_short(node)} → {value}", lambda v=value: spot.put(ast.Constant(v))  # type: ignore[misc]


def _statement(spot: _Spot, node: ast.stmt) -> Iterator[Change]:
    does = isinstance(node, ast.Expr | ast.AugAssign | ast.Raise | ast.Delete)
    leaves = isinstance(node, ast.Continue | ast.Break)
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AnnAssign)
        else []
    )
    stores = any(isinstance(target, ast.Attribute | ast.Subscript) for target in targets)
    if does or leaves or stores:
        yield f"without {_short(node)}", lambda: spot.put(ast.Pass())
    if isinstance(node, ast.AugAssign) and type(node.op) in ARITHMETIC:
        yield _operator(node, "op", ARITHMETIC[type(node.op)])
    if isinstance(node, ast.Return) and node.value is not None:
        value = node.value
        # `return False` is flipped; to become None would mean the same to most callers
        if not (isinstance(value, ast.Constant) and not value.value):
            yield _swap(spot, node, ast.Return(value=ast.Constant(None)))


def _operator(node: ast.AST, field: str, new: type[ast.AST], index: int | None = None) -> Change:
    old = getattr(node, field) if index is None else getattr(node, field)[index]
    spot = _Spot(parent=node, field=field, index=index)
    return f"{type(old).__name__} → {new.__name__} in {_short(node)}", lambda: spot.put(new())


def _expression(spot: _Spot, node: ast.expr) -> Iterator[Change]:
    if isinstance(node, ast.Compare):
        for index, old in enumerate(node.ops):
            for new in OPPOSITE[type(old)]:
                yield _operator(node, "ops", new, index)
    elif isinstance(node, ast.BoolOp):
        yield _operator(node, "op", ast.Or if isinstance(node.op, ast.And) else ast.And)
        for value in node.values:
            rest = [v for v in node.values if v is not value]
            left = rest[0] if len(rest) == 1 else ast.BoolOp(op=node.op, values=rest)
            yield _swap(spot, node, left)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not | ast.USub):
        yield _swap(spot, node, node.operand)
    elif isinstance(node, ast.BinOp) and type(node.op) in ARITHMETIC:
        is_union = isinstance(node.op, ast.BitOr) and isinstance(spot.parent, ast.Assign)
        if not is_union:
            yield _operator(node, "op", ARITHMETIC[type(node.op)])
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
        other = CALLS.get(node.func.id)
        if other is not None and not (other == "list" and node.keywords):
            spot = _Spot(parent=node, field="func", index=None)
            yield _swap(spot, node.func, ast.Name(id=other, ctx=ast.Load()))


def _constant(spot: _Spot, node: ast.Constant, is_named: bool) -> Iterator[Change]:
    value = node.value
    new: list[object] = []
    if isinstance(value, bool):
        new = [not value]
    elif isinstance(value, int | float):
        new = [value + 1, value - 1]
    elif isinstance(value, str):
        is_sentence = " " in value.strip() and not is_named
        is_glue = isinstance(spot.parent, ast.JoinedStr) and not any(map(str.isalnum, value))
        new = [] if is_sentence or is_glue or not value.strip() else [ELSEWHERE]
    for changed in new:
        if isinstance(spot.parent, ast.JoinedStr):
            text = f"{value!r} → {changed!r} in {_short(spot.parent)}"
            yield text, lambda c=changed: spot.put(ast.Constant(c))  # type: ignore[misc]
        else:
            yield _swap(spot, node, ast.Constant(changed))  # type: ignore[arg-type]


def _table(node: ast.Dict, is_named: bool) -> Iterator[Change]:
    for index, (key, value) in enumerate(zip(node.keys, node.values, strict=True)):
        text = f"**{_short(value)}" if key is None else _short(key)
        yield f"without entry {text}", lambda i=index: _drop(node, i)  # type: ignore[misc]
        after = node.values[(index + 1) % len(node.values)]
        if is_named and key is not None and ast.dump(after) != ast.dump(value):
            spot = _Spot(parent=node, field="values", index=index)
            yield f"{text}: {_short(value)} → {_short(after)}", lambda s=spot, a=after: s.put(a)  # type: ignore[misc]


def _drop(node: ast.Dict, index: int) -> None:
    del node.keys[index], node.values[index]


def _elements(node: ast.Set | ast.List | ast.Tuple) -> Iterator[Change]:
    if isinstance(node, ast.Set) and len(node.elts) == 1:
        return  # {} would be no set
    for index, element in enumerate(node.elts):
        yield f"without element {_short(element)}", lambda i=index: node.elts.pop(i)  # type: ignore[misc]
