"""Templates: typed variables, all problems at once, and what is saved can be read back."""

import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import InvalidRequest, RecordNotFound, WouldOverwrite
from heliograph.prompts import (
    Collection,
    Structured,
    Template,
    Variable,
    expand,
    matches,
    parse,
    places,
    read_template,
)
from heliograph.prompts.template import to_toml
from heliograph.prompts.wildcard import NO_LISTS, count, every

STARTERS = {
    *("product-shot", "portrait", "poster", "ui-mockup", "infographic"),
    *("wallpaper", "packaging", "map", "storyboard"),
}
SAMPLES = {"integer": "4", "number": "1.5", "colour": "#aabbcc"}


@pytest.fixture
def collection(tmp_path: Path) -> Collection:
    return Collection(tmp_path)


def template(prompt: Any = "${x}", **variables: dict[str, Any]) -> Template:
    document = {"prompt": prompt, "variables": variables}
    return read_template(document, name="t", origin="t.toml")


def problems(refused: pytest.ExceptionInfo[InvalidRequest]) -> dict[str, str]:
    return {problem.field: problem.message for problem in refused.value.problems}


# ---------------------------------------------------------------- starters


def test_every_starter_that_was_promised_is_there(collection: Collection) -> None:
    found, wrong = collection.all()
    assert wrong == ()
    assert {t.name for t in found} == STARTERS == set(collection.names())
    assert {t.origin for t in found} == {"starter"}


@pytest.mark.parametrize("name", sorted(STARTERS))
def test_a_starter_makes_a_whole_prompt(name: str, collection: Collection) -> None:
    found = collection.find(name)
    assert found.title
    assert found.about
    assert found.tags
    assert found.aspect
    assert all(v.help for v in found.variables)
    assert all(
        v.kind == "text" or v.default or v.kind in ("words", "integer") for v in found.variables
    )
    needed = {v.name: SAMPLES.get(v.kind, "a harbour") for v in found.variables if not v.default}
    assert 1 <= len(needed) <= 4
    text = expand(parse(found.filled(needed)), 1, collection.lists)
    assert "a harbour" in text
    assert not places(text)
    assert "Constraints: " in text
    assert ".." not in text
    assert "  " not in text
    assert text.count('"') % 2 == 0
    assert 300 < len(text) < 2500


def test_words_to_draw_stand_between_quotation_marks(collection: Collection) -> None:
    for found in collection.all()[0]:
        for variable in found.variables:
            if variable.kind == "words":
                assert f'"${{{variable.name}}}"' in found.text, found.name


# ---------------------------------------------------------------- variables


@pytest.mark.parametrize(
    ("variable", "good", "bad", "nearest"),
    [
        ({"type": "integer", "least": 2, "most": 9}, "4", "10", "x=9"),
        ({"type": "integer", "least": 2}, "2", "1", "x=2"),
        ({"type": "integer"}, "-3", "1.5", None),
        ({"type": "number", "most": 1.5}, "1.5", "1.6", "x=1.5"),
        ({"type": "number"}, "1e2", "nan", None),
        ({"type": "choice", "choices": ["left", "right"]}, "left", "rigt", "x=right"),
        ({"type": "colour"}, "#1f6feb", "#12", "x=#1f6feb"),
        ({"type": "colour"}, "deep teal", "#xyzxyz", "x=#1f6feb"),
        ({"type": "words"}, "OPEN", 'the "OPEN" sign', None),
        ({"type": "words"}, "OPEN", "two\nlines", None),
        ({"longest": 5}, "12345", "123456", None),
        ({}, "anything", " ", None),
    ],
    ids=str,
)
def test_values_are_checked_by_type(
    variable: dict[str, Any], good: str, bad: str, nearest: str | None
) -> None:
    made = template(x=variable)
    assert expand(parse(made.filled({"x": good})), 1) == good
    with pytest.raises(InvalidRequest) as refused:
        made.filled({"x": bad})
    (problem,) = refused.value.problems
    assert problem.field == "param"
    assert nearest is None or nearest in problem.nearest


def test_all_problems_with_values_come_together() -> None:
    made = template("${size} ${side}", size={}, side={"type": "choice", "choices": ["a"]})
    with pytest.raises(InvalidRequest) as refused:
        made.filled({"side": "b", "sice": "3"})
    told = [(p.value, p.nearest) for p in refused.value.problems]
    assert told == [("sice=3", ("size=", "side=")), ("size", ()), ("side=b", ("side=a",))]


@given(st.text(min_size=1).filter(str.strip))
def test_a_value_comes_out_as_it_was_given(value: str) -> None:
    made = template("before {a|b} ${x} after", x={})
    filled = expand(parse(made.filled({"x": value})), 1)
    assert filled in (f"before {one} {value} after" for one in "ab")


def test_values_hold_wildcards_only_when_that_is_asked() -> None:
    made = template("${x}!", x={"type": "choice", "choices": ["a", "b"]})
    with pytest.raises(InvalidRequest):
        made.filled({"x": "{a|b}"})
    wild = parse(made.filled({"x": "{a|b}"}, lists=NO_LISTS))
    assert every(wild, most=2) == ("a!", "b!")
    with pytest.raises(InvalidRequest, match="none of the choices"):
        made.filled({"x": "{a|c}"}, lists=NO_LISTS)


def test_an_escaped_place_is_text() -> None:
    made = template(r"\${x} costs ${x}", x={"default": "5"})
    assert expand(parse(made.filled({})), 1) == "${x} costs 5"


def test_an_empty_default_leaves_the_place_empty() -> None:
    assert template("a${x}b", x={"default": ""}).filled({}) == "ab"


# ---------------------------------------------------------------- documents


@pytest.mark.parametrize(
    ("document", "field", "words"),
    [
        ({}, "prompt", "is needed"),
        ({"prompt": ""}, "prompt", "is needed"),
        ({"prompt": 3}, "prompt", "is needed"),
        ({"prompt": {"style": "x"}}, "prompt.subject", "is needed"),
        ({"prompt": {"subject": "x", "stile": "y"}}, "prompt.stile", "no known name"),
        ({"prompt": "x", "titel": "y"}, "titel", "no known name"),
        ({"prompt": "x", "title": 3}, "title", "not text"),
        ({"prompt": "x", "aspect": "wide"}, "aspect", "no ratio"),
        ({"prompt": "${x}"}, "prompt", "no variable"),
        ({"prompt": "x", "variables": {"y": {}}}, "variables.y", "used nowhere"),
        ({"prompt": "${X}", "variables": {"X": {}}}, "variables", "no name"),
        ({"prompt": "${x}", "variables": {"x": "y"}}, "variables.x", "must be a table"),
        ({"prompt": "${x}", "variables": ["x"]}, "variables", "must be a table"),
        ({"prompt": "${x}", "variables": {"x": {"type": "txt"}}}, "variables.x.type", "no type"),
        (
            {"prompt": "${x}", "variables": {"x": {"type": "choice"}}},
            "variables.x.choices",
            "needs them",
        ),
        (
            {"prompt": "${x}", "variables": {"x": {"type": "integer", "default": "many"}}},
            "variables.x.default",
            "no whole number",
        ),
        ({"prompt": "a {b"}, "prompt of t", "never closed"),
    ],
    ids=str,
)
def test_a_wrong_document_says_what_is_wrong(
    document: dict[str, Any], field: str, words: str
) -> None:
    with pytest.raises(InvalidRequest) as refused:
        read_template(document, name="t", origin="t.toml")
    assert words in problems(refused)[field]


def test_a_number_too_long_to_be_written_is_refused() -> None:
    document = tomllib.loads(f'prompt = "${{x}}"\nvariables.x.least = 0x{"f" * 9000}\n')
    with pytest.raises(InvalidRequest, match="is no number"):
        read_template(document, name="t", origin="t.toml")


@pytest.mark.parametrize(
    ("longest", "kept"),
    [("1e999999999999999999", 2000), ("1e-999999999999999999", 1), ("0", 1), ("7.9", 7)],
)
def test_a_length_of_any_size_is_understood(longest: str, kept: int) -> None:
    assert template(x={"longest": longest}).variables[0].longest == kept


def test_sections_of_the_caller_take_the_place_of_the_template_s() -> None:
    made = template(
        {"subject": "${x}", "style": "${y}", "negative": ["text"]}, x={}, y={"default": "oil"}
    ).with_sections({"style": "ink"}, ("people",))
    assert made.filled({"x": "A fox"}) == (
        "A fox. Style: ink. Constraints: clean surfaces, free of lettering; "
        "an empty scene, free of people."
    )
    with pytest.raises(InvalidRequest, match="without sections"):
        template(x={}).with_sections({"style": "ink"}, ())


texts = st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20)


@given(title=texts, about=texts, tags=st.lists(texts, max_size=3), subject=texts, negative=texts)
def test_what_is_written_is_read_back(
    title: str, about: str, tags: list[str], subject: str, negative: str
) -> None:
    from heliograph.prompts import escape

    made = Template(
        name="t",
        origin="t.toml",
        title=title,
        about=about,
        tags=tuple(tags),
        aspect="4:5",
        prompt=Structured(subject=f"x {escape(subject)} ${{x}}", negative=(escape(negative),)),
        variables=(Variable(name="x", help=about, default="y" + title[:5], longest=40),),
    )
    back = read_template(tomllib.loads(to_toml(made)), name="t", origin="t.toml")
    assert back == made
    assert count(parse(back.filled({}))) == 1


# ---------------------------------------------------------------- saved


def test_saved_prompts_are_found_searched_and_never_overwritten(collection: Collection) -> None:
    path = collection.save(template("A fox, ${x}", x={"help": "Weather"}))
    assert path.read_text(encoding="utf-8").startswith('title = ""')
    found = collection.find("t")
    assert (found.origin, found.text) == ("yours", "A fox, ${x}")
    assert [t.name for t in collection.all()[0] if matches(t, "FOX weather")] == ["t"]
    with pytest.raises(WouldOverwrite):
        collection.save(template("B, ${x}", x={}))
    collection.save(template("B, ${x}", x={}), force=True)
    assert collection.find("t").text == "B, ${x}"


def test_an_own_prompt_stands_before_the_starter(collection: Collection) -> None:
    from dataclasses import replace

    collection.save(replace(template(x={}), name="poster"))
    assert collection.find("poster").origin == "yours"
    assert [t.name for t in collection.all()[0]].count("poster") == 1


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a b", "x" * 65, "-x"])
def test_names_do_not_lead_out_of_the_folder(name: str, collection: Collection) -> None:
    from dataclasses import replace

    with pytest.raises(InvalidRequest):
        collection.save(replace(template(x={}), name=name))
    assert not collection.folder.exists()


def test_a_prompt_that_cannot_be_read_hides_no_other(collection: Collection) -> None:
    collection.folder.mkdir()
    (collection.folder / "broken.toml").write_text("prompt = [")
    found, wrong = collection.all()
    assert len(found) == len(STARTERS)
    assert "broken.toml" in str(wrong[0])
    with pytest.raises(InvalidRequest, match="cannot be understood"):
        collection.find("broken")


def test_an_unknown_name_says_what_is_near(collection: Collection) -> None:
    with pytest.raises(RecordNotFound, match="Nearest: poster"):
        collection.find("postr")


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.toml", 'prompt = "A ${x}"\n[variables.x]\ndefault = "fox"\n'),
        ("t.yaml", "prompt: A ${x}\nvariables:\n  x: {default: fox}\n"),
        ("t.yml", "prompt: {subject: A fox}\n"),
        ("t.json", '{"prompt": "A fox"}'),
    ],
)
def test_a_template_in_any_format(
    name: str, text: str, tmp_path: Path, collection: Collection
) -> None:
    path = tmp_path / name
    path.write_text(text)
    assert collection.find(str(path)).filled({}).rstrip(".") == "A fox"
