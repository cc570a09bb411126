"""The changes that the mutation run makes, and the list of those that mean nothing."""

import ast
from pathlib import Path

import pytest
from tests.mutation.mutants import mutants
from tests.mutation.run import EQUIVALENT, excused
from tests.mutation.subjects import SUBJECTS, quick_tests, source_of


def changes(text: str) -> set[str]:
    return {mutant.change for mutant in mutants(text)[1]}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "a = b < 1",
            {"Lt → LtE in b < 1", "Lt → GtE in b < 1", "1 → 2", "1 → 0"},
        ),
        ("a = b == c", {"Eq → NotEq in b == c"}),
        ("a = b is not c", {"IsNot → Is in b is not c"}),
        ("a = b and c", {"And → Or in b and c", "b and c → b", "b and c → c"}),
        ("a = not b", {"not b → b"}),
        ("a = -b", {"-b → b"}),
        ("a = b + c", {"Add → Sub in b + c"}),
        ("a = B | C", set()),
        ("a = True", {"True → False"}),
        ("a = 'word'", {"'word' → '~'"}),
        ("f(what='Two words.')", {"without f(what='Two words.')"}),
        ("A = 'Two words'", {"'Two words' → '~'"}),
        ("def f():\n    return 'two words'", {"return 'two words' → return None"}),
        ("def f():\n    return False", {"False → True"}),
        ("def f(x: int = 1) -> None:\n    pass", {"1 → 2", "1 → 0"}),
        ("def f(a):\n    a.b = c", {"without a.b = c"}),
        ("def f(a):\n    a = c", set()),
        ("def f(a):\n    a += c", {"without a += c", "Add → Sub in a += c"}),
        ("def f():\n    raise A", {"without raise A"}),
        ("for a in b:\n    continue", {"without continue"}),
        ("if a:\n    b", {"if a → True", "if a → False", "without b"}),
        ("while a:\n    b", {"if a → False", "without b"}),
        ("a = [b for b in c if d]", {"if d → True", "if d → False"}),
        ("a = min(b, c)", {"min → max"}),
        ("a = sorted(b)", {"sorted → list"}),
        ("a = sorted(b, key=c)", set()),
        ("A = {b: c, d: e}", {"without entry b", "without entry d", "b: c → e", "d: e → c"}),
        ("def f():\n    a = {b: c, **d}", {"without entry b", "without entry **d"}),
        ("A = (b, c)", {"without element b", "without element c"}),
        ("def f(a):\n    a = (b, c)", set()),
        (
            "def f(a):\n    a = b in (c, d)",
            {"In → NotIn in b in (c, d)", "without element c", "without element d"},
        ),
        ("class E(Enum):\n    A = 'a'", {"'a' → '~'"}),
        ('"""Words."""\nimport a\nT = TypeVar("T")', set()),
        ("@f(True)\nclass A:\n    '''Words.'''\n    b: 'C'", set()),
    ],
)
def test_what_is_changed(text: str, found: set[str]) -> None:
    assert changes(text) == found


def test_changes_of_one_line_are_told_apart() -> None:
    _, found = mutants("a = 1 + 1")
    names = [mutant.name for mutant in found]
    assert len(set(names)) == len(names) == 5
    assert ("module", "a = 1 + 1", "1 → 2 (2)") in names


def test_a_change_knows_its_place() -> None:
    text = "class A:\n    def b(self):\n        '''Words.'''\n        return c < d\n"
    assert {(m.line, m.where, m.code) for m in mutants(text)[1]} == {(4, "A.b", "return c < d")}


@pytest.mark.parametrize("module", SUBJECTS)
def test_every_change_makes_another_program_that_compiles(module: str) -> None:
    text = source_of(module).read_text("utf-8")
    count = len(mutants(text)[1])
    before = ast.unparse(ast.parse(text))
    assert count > 15
    for number in range(0, count, 7):
        tree, found = mutants(text)
        found[number].apply()
        assert ast.unparse(tree) != before, found[number].name
        compile(tree, module, "exec")


@pytest.mark.parametrize("module", SUBJECTS)
def test_the_list_of_equivalent_ones_is_up_to_date(module: str) -> None:
    _, found = mutants(source_of(module).read_text("utf-8"))
    assert len(excused(module, found)) <= len(found) // 7
    assert EQUIVALENT.exists()


@pytest.mark.parametrize("module", SUBJECTS)
def test_every_module_has_its_tests(module: str) -> None:
    assert quick_tests(module)
    assert all(Path(name).exists() for name in quick_tests(module))
