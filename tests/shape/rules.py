"""The rules about how the source looks, one function each: a module in, violations out.

A violation is a line number and the words to print; `test_source.py` runs every rule on every
file, `test_rules.py` shows that every rule finds what it is for.
"""

import ast
import re
from collections.abc import Callable, Iterator

from tests.shape.source import Module, dotted, functions, imports

Violation = tuple[int, str]
Rule = Callable[[Module], Iterator[Violation]]

MAX_FILE = 500
MAX_FUNCTION = 80
MAX_POSITIONAL = 5
OWNERLESS = {
    *("util", "utils", "helper", "helpers", "common", "manager", "managers"),
    *("service", "services", "misc", "base", "core"),
}
CATCH_ALLS = {"Exception", "BaseException"}
ENVIRONMENT = {"os.environ", "os.environb", "os.getenv", "os.getenvb", "dotenv"}
SECOND_CLIENTS = {
    *("requests", "httpx", "httpx2", "urllib3", "pycurl", "websockets", "http.client"),
    *("urllib.request", "google.genai", "openai"),
}
UNSAFE_IMPORTS = {"pickle", "dill", "marshal", "shelve", "cloudpickle", "os.system", "os.popen"}
UNSAFE_CALLS = {"eval", "exec", "yaml.load", "os.system", "os.popen", "__import__"}
NAIVE_CLOCKS = {"utcnow", "utcfromtimestamp", "today"}
EXACT = {"money.py", "ledger.py"}


def short_file(module: Module) -> Iterator[Violation]:
    lines = module.text.count("\n")
    if lines > MAX_FILE:
        yield MAX_FILE, f"{lines} lines; a file has at most {MAX_FILE}"


def short_function(module: Module) -> Iterator[Violation]:
    for name, node in functions(module.tree):
        lines = (node.end_lineno or node.lineno) - node.lineno + 1
        if lines > MAX_FUNCTION:
            yield node.lineno, f"{name} has {lines} lines; a function has at most {MAX_FUNCTION}"


def few_positional_parameters(module: Module) -> Iterator[Violation]:
    for name, node in functions(module.tree):
        given = [a.arg for a in (*node.args.posonlyargs, *node.args.args)]
        if "." in name and given[:1] in (["self"], ["cls"]):
            given = given[1:]
        if len(given) > MAX_POSITIONAL:
            yield node.lineno, f"{name} takes {len(given)} positional parameters; put * before some"


def no_global(module: Module) -> Iterator[Violation]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Global):
            yield node.lineno, f"global {', '.join(node.names)}; give the state an owner"


def no_catch_all(module: Module) -> Iterator[Violation]:
    """Tidying up and raising again is no catch-all. The words begin with the function, so that
    the list of process edges can name it."""
    for name, node in _catch_alls(module.tree, "module"):
        yield node.lineno, f"{name}: catches everything"


def environment_only_in_settings(module: Module) -> Iterator[Violation]:
    if module.room == "settings":
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and dotted(node) in ENVIRONMENT:
            yield node.lineno, f"{dotted(node)}; only settings/ reads the environment"
    for name, statement in imports(module.tree):
        if _within(name, ENVIRONMENT):
            yield statement.lineno, f"imports {name}; only settings/ reads the environment"


def module_name_has_an_owner(module: Module) -> Iterator[Violation]:
    for part in module.place.removesuffix(".py").split("/"):
        if part in OWNERLESS:
            yield 1, f"{part!r}: a thing without a better name has no owner yet"


def prints_only_at_the_edge(module: Module) -> Iterator[Violation]:
    at_edge = module.room == "cli" or module.stem in {"__main__", "worker"}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Call) and dotted(node.func) == "print" and not at_edge:
            yield node.lineno, "print(…) away from the edge of a process"


def nothing_unsafe(module: Module) -> Iterator[Violation]:
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call):
            continue
        if dotted(node.func) in UNSAFE_CALLS:
            yield node.lineno, f"{dotted(node.func)}(…) runs what it is given"
        for keyword in node.keywords:
            off = isinstance(keyword.value, ast.Constant) and keyword.value.value is False
            if keyword.arg == "shell" and not off:
                yield node.lineno, "shell=…; give an argument list"
        if dotted(node.func).endswith("create_subprocess_shell"):
            yield node.lineno, "a shell; give an argument list"
    for name, statement in imports(module.tree):
        if _within(name, UNSAFE_IMPORTS):
            yield statement.lineno, f"imports {name}, which runs what it reads"


def money_is_exact(module: Module) -> Iterator[Violation]:
    if module.place not in EXACT and module.place != "emulator/ledger.py":
        return
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, float | complex):
            yield node.lineno, f"the literal {node.value!r}; money is integers"
        if isinstance(node, ast.Call) and dotted(node.func) in {"float", "round", "math.pow"}:
            yield node.lineno, f"{dotted(node.func)}(…); money is integers"
        if (
            isinstance(node, ast.BinOp | ast.AugAssign)
            and isinstance(node.op, ast.Div)
            and not _joins_paths(node)
        ):
            yield node.lineno, "true division; money is divided with // or divmod"


def clocks_have_zones(module: Module) -> Iterator[Violation]:
    for node in ast.walk(module.tree):
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Attribute):
            continue
        owner, _, method = dotted(node.func).rpartition(".")
        if owner.rpartition(".")[2] not in {"datetime", "date"}:
            continue
        zoned = any(k.arg == "tz" for k in node.keywords)
        if (
            method in NAIVE_CLOCKS
            or (method == "now" and not node.args and not zoned)
            or (method == "fromtimestamp" and len(node.args) < 2 and not zoned)
        ):
            yield node.lineno, f"{owner}.{method}(…) without a time zone"


def no_assert(module: Module) -> Iterator[Violation]:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Assert):
            yield node.lineno, "assert disappears under -O; raise what it means"


def one_http_client(module: Module) -> Iterator[Violation]:
    for name, statement in imports(module.tree):
        if _within(name, SECOND_CLIENTS):
            yield statement.lineno, f"imports {name}; the one HTTP client is providers/http.py"


def module_says_what_it_is_for(module: Module) -> Iterator[Violation]:
    if not ast.get_docstring(module.tree):
        yield 1, "no docstring: what is it for, and which invariant does it keep?"


def public_names_have_docstrings(module: Module) -> Iterator[Violation]:
    """Public classes and functions of a public module; methods when they are not plain to read.

    Not asked of: what is nested in a function, methods of a class with bases (they answer to the
    base's words), methods named in a port (`ports` documents them), dunders, properties, a
    function named like its module (the module's own words are its), numbered migrations, and
    whatever has a body of one or two statements.
    """
    if module.is_private or "/migrations/" in module.place:
        return
    for node in module.tree.body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            if not ast.get_docstring(node):
                yield node.lineno, f"class {node.name} has no docstring"
            if not node.bases:
                yield from _silent_methods(node)
        elif (
            isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
            and _is_silent(node)
            and node.name != module.stem
        ):
            yield node.lineno, f"{node.name} has no docstring"


def no_leftovers(module: Module) -> Iterator[Violation]:
    for number, line in enumerate(module.text.splitlines(), start=1):
        if re.search(r"#.*\b(TODO|FIXME|XXX|HACK)\b", line):
            yield number, "a note to self; finish it or write it into docs/"


RULES: tuple[Rule, ...] = (
    short_file,
    short_function,
    few_positional_parameters,
    no_global,
    no_catch_all,
    environment_only_in_settings,
    module_name_has_an_owner,
    prints_only_at_the_edge,
    nothing_unsafe,
    money_is_exact,
    clocks_have_zones,
    no_assert,
    one_http_client,
    module_says_what_it_is_for,
    public_names_have_docstrings,
    no_leftovers,
)


def _within(name: str, owners: set[str]) -> bool:
    return any(name == owner or name.startswith(f"{owner}.") for owner in owners)


def _joins_paths(node: ast.BinOp | ast.AugAssign) -> bool:
    """Whether a division has a string in it, so that it can only join paths."""
    if isinstance(node, ast.AugAssign):
        return False
    return any(
        isinstance(side, ast.JoinedStr)
        or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )


def _catch_alls(tree: ast.AST, inside: str) -> Iterator[tuple[str, ast.expr | ast.excepthandler]]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            name = node.name if inside == "module" else f"{inside}.{node.name}"
            yield from _catch_alls(node, name)
            continue
        if isinstance(node, ast.ExceptHandler) and _catches_all(node.type):
            last = node.body[-1]
            if not (isinstance(last, ast.Raise) and last.exc is None):
                yield inside, node
        if (
            isinstance(node, ast.Call)
            and dotted(node.func) in {"suppress", "contextlib.suppress"}
            and any(dotted(a).rpartition(".")[2] in CATCH_ALLS for a in node.args)
        ):
            yield inside, node
        yield from _catch_alls(node, inside)


def _catches_all(caught: ast.expr | None) -> bool:
    if caught is None:
        return True
    kinds = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(dotted(kind).rpartition(".")[2] in CATCH_ALLS for kind in kinds)


def _silent_methods(owner: ast.ClassDef) -> Iterator[Violation]:
    for node in owner.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and _is_silent(node):
            yield node.lineno, f"{owner.name}.{node.name} has no docstring"


def _is_silent(node: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return (
        not node.name.startswith("_")
        and not ast.get_docstring(node)
        and len(node.body) > 2
        and node.name not in _port_methods()
        and not any(dotted(d) in {"property", "override"} for d in node.decorator_list)
    )


def _port_methods() -> frozenset[str]:
    from tests.shape.source import modules

    ports = [module for module in modules() if module.place.startswith("ports/")]
    return frozenset(name.rpartition(".")[2] for p in ports for name, _ in functions(p.tree))
