"""Every rule finds what it is for, and leaves the right way of doing it alone."""

import pytest
from tests.shape import rules
from tests.shape.rules import Rule
from tests.shape.source import module

LONG = "\n".join(["x = 1"] * 501) + "\n"
LONG_FUNCTION = "def f():\n" + "    x = 1\n" * 80

WRONG: list[tuple[Rule, str, str]] = [
    (rules.short_file, "a.py", LONG),
    (rules.short_function, "a.py", LONG_FUNCTION),
    (rules.short_function, "a.py", "class A:\n    async " + LONG_FUNCTION.replace("    ", " " * 8)),
    (rules.few_positional_parameters, "a.py", "def f(a, b, c, d, e, f): ..."),
    (rules.few_positional_parameters, "a.py", "class A:\n  def f(self, a, b, c, d, e, f): ..."),
    (rules.no_global, "a.py", "def f():\n  global x"),
    (rules.no_catch_all, "a.py", "try: x\nexcept: pass"),
    (rules.no_catch_all, "a.py", "try: x\nexcept Exception as e: log(e)"),
    (rules.no_catch_all, "a.py", "try: x\nexcept (OSError, BaseException): pass"),
    (rules.no_catch_all, "a.py", "with contextlib.suppress(Exception): x"),
    (rules.environment_only_in_settings, "a.py", "import os\nos.environ['A']"),
    (rules.environment_only_in_settings, "a.py", "import os\nos.getenv('A')"),
    (rules.environment_only_in_settings, "a.py", "from os import environ"),
    (rules.environment_only_in_settings, "a.py", "from dotenv import load_dotenv"),
    (rules.environment_only_in_settings, "emulator/settings.py", "import os\nos.environ['A']"),
    (rules.module_name_has_an_owner, "imaging/utils.py", ""),
    (rules.module_name_has_an_owner, "helpers/size.py", ""),
    (rules.prints_only_at_the_edge, "client.py", "print('x')"),
    (rules.nothing_unsafe, "a.py", "import pickle"),
    (rules.nothing_unsafe, "a.py", "from pickle import loads"),
    (rules.nothing_unsafe, "a.py", "eval(x)"),
    (rules.nothing_unsafe, "a.py", "yaml.load(x)"),
    (rules.nothing_unsafe, "a.py", "run(x, shell=True)"),
    (rules.nothing_unsafe, "a.py", "asyncio.create_subprocess_shell(x)"),
    (rules.money_is_exact, "money.py", "x = 0.5"),
    (rules.money_is_exact, "ledger.py", "float(x)"),
    (rules.money_is_exact, "ledger.py", "a / b"),
    (rules.money_is_exact, "emulator/ledger.py", "a = 1e6"),
    (rules.clocks_have_zones, "a.py", "datetime.now()"),
    (rules.clocks_have_zones, "a.py", "datetime.datetime.utcnow()"),
    (rules.clocks_have_zones, "a.py", "datetime.fromtimestamp(1)"),
    (rules.clocks_have_zones, "a.py", "date.today()"),
    (rules.no_assert, "a.py", "assert x"),
    (rules.one_http_client, "a.py", "import requests"),
    (rules.one_http_client, "a.py", "from urllib import request"),
    (rules.one_http_client, "a.py", "from urllib.request import urlopen"),
    (rules.one_http_client, "a.py", "from google import genai"),
    (rules.module_says_what_it_is_for, "a.py", "x = 1"),
    (rules.public_names_have_docstrings, "a.py", "class A: ..."),
    (rules.public_names_have_docstrings, "a.py", "def f():\n  x\n  y\n  z"),
    (
        rules.public_names_have_docstrings,
        "a.py",
        "class A:\n  '.'\n  def f():\n    x\n    y\n    z",
    ),
    (rules.no_leftovers, "a.py", "x = 1  # " + "TO" + "DO later"),
]

RIGHT: list[tuple[Rule, str, str]] = [
    (rules.few_positional_parameters, "a.py", "def f(a, b, c, d, e, *, f, g): ..."),
    (rules.few_positional_parameters, "a.py", "class A:\n  def f(self, a, b, c, d, e): ..."),
    (rules.no_catch_all, "a.py", "try: x\nexcept OSError: pass"),
    (rules.no_catch_all, "a.py", "try: x\nexcept BaseException:\n  tidy()\n  raise"),
    (rules.environment_only_in_settings, "settings/gather.py", "import os\nos.environ['A']"),
    (rules.prints_only_at_the_edge, "cli/edge.py", "print('x')"),
    (rules.nothing_unsafe, "a.py", "asyncio.create_subprocess_exec(x)"),
    (rules.nothing_unsafe, "a.py", "run(x, shell=False)"),
    (rules.money_is_exact, "money.py", "a // b"),
    (rules.money_is_exact, "ledger.py", "folder / 'name'"),
    (rules.money_is_exact, "imaging/size.py", "a / 2.0"),
    (rules.clocks_have_zones, "a.py", "datetime.now(UTC)"),
    (rules.clocks_have_zones, "a.py", "datetime.fromtimestamp(1, tz=UTC)"),
    (rules.one_http_client, "a.py", "from urllib.parse import urlsplit"),
    (rules.public_names_have_docstrings, "_a.py", "class A: ..."),
    (rules.public_names_have_docstrings, "crop.py", "def crop():\n  x\n  y\n  z"),
    (rules.public_names_have_docstrings, "a.py", "def f():\n  return x"),
]


def _case(value: object) -> str | None:
    return getattr(value, "__name__", None)


@pytest.mark.parametrize(("rule", "place", "text"), WRONG, ids=_case)
def test_it_finds(rule: Rule, place: str, text: str) -> None:
    assert list(rule(module(place, text)))


@pytest.mark.parametrize(("rule", "place", "text"), RIGHT, ids=_case)
def test_it_leaves_alone(rule: Rule, place: str, text: str) -> None:
    assert not list(rule(module(place, text)))


def test_every_rule_is_shown_to_find_something() -> None:
    assert set(rules.RULES) == {rule for rule, _, _ in WRONG}
