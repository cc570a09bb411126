"""Documents are hostile until read: bounded, unambiguous, and nothing but data."""

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.effort import within

from heliograph.errors import InvalidRequest
from heliograph.prompts.reading import MOST_BYTES, parse_document, read_document

SAME = {
    ".toml": 'subject = "A fox"\nnegative = ["text", "16:9"]\n',
    ".yaml": "subject: A fox\nnegative: [text, 16:9]\n",
    ".yml": "# a comment\nsubject: 'A fox'\nnegative:\n  - text\n  - 16:9\n",
    ".json": '{"subject": "A fox", "negative": ["text", "16:9"]}',
}

LINES = 50_000_000  # of Python, for one document; 7 million when written: nothing without end
LAUGHS = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n"
HOSTILE = [
    (".yaml", LAUGHS, "alias"),
    (".yaml", "a: &a\n  b: *a\n", "alias"),
    (".yaml", "base: {a: b}\nother:\n  <<: *base\n", "alias"),
    (".yaml", "a: 1\na: 2\n", "twice"),
    (".yaml", "a: [{b: 1, b: 2}]\n", "twice"),
    (".yaml", "a: " + "[" * 5000, "deep"),
    (".yaml", "a: " + "{b: " * 5000, "deep"),
    (".yaml", "- a\n- b\n", "table"),
    (".yaml", "just text", "table"),
    (".yaml", "", "table"),
    (".yaml", "a: b: c", "cannot be understood"),
    (".yaml", "--- {}\n--- {}\n", "cannot be understood"),
    (".yaml", "? [a, b]\n: c\n", "cannot be understood"),
    (".json", '{"a": 1, "a": 2}', "twice"),
    (".json", '{"a": ' + "[" * 100_000, "deep"),
    (".json", "[1]", "table"),
    (".json", '{"a": ' + "9" * 5000 + "}", "cannot be understood"),
    (".json", "{", "cannot be understood"),
    (".json", '{"a": ' + "[" * 20 + "]" * 20 + "}", "deep"),
    (".json", '{"a": [' + ",".join(["1"] * 6000) + "]}", "values"),
    (".toml", "a = " + "[" * 50_000, "deep"),
    (".toml", "a = 1\na = 2\n", "cannot be understood"),
    (".toml", "a.b.c.d.e.f.g.h.i.j.k = 1\n", "deep"),
]


@pytest.mark.parametrize("suffix", SAME)
def test_every_format_says_the_same(suffix: str) -> None:
    document = parse_document(SAME[suffix], Path(f"p{suffix}"))
    assert document == {"subject": "A fox", "negative": ["text", "16:9"]}


@pytest.mark.parametrize(
    "text", ["no", "1.50", "0o17", "16:9", "2026-01-01", "~", "1e3", "=", "0x1"]
)
def test_yaml_text_is_as_written(text: str) -> None:
    assert parse_document(f"a: {text}\n", Path("p.yaml")) == {"a": text}


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system [echo]", "!!python/name:os.system x", "!!binary eA=="]
)
def test_yaml_makes_nothing_but_data(tag: str) -> None:
    (value,) = parse_document(f"a: {tag}\n", Path("p.yaml")).values()
    assert json.dumps(value)


@pytest.mark.parametrize(("suffix", "text", "words"), HOSTILE, ids=lambda v: str(v)[:24])
def test_hostile_documents_are_refused(suffix: str, text: str, words: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        within(LINES, lambda: parse_document(text, Path(f"p{suffix}")))
    assert words in refused.value.problems[0].message


@given(st.text(max_size=200), st.sampled_from(list(SAME)))
def test_no_document_crashes(text: str, suffix: str) -> None:
    with contextlib.suppress(InvalidRequest):
        assert isinstance(parse_document(text, Path(f"p{suffix}")), dict)


@given(st.text(alphabet="ab:[]{}&*!|>-'\"#,? \n", max_size=60))
def test_no_yaml_crashes(text: str) -> None:
    with contextlib.suppress(InvalidRequest):
        assert isinstance(parse_document(text, Path("p.yaml")), dict)


def test_the_ending_says_the_format() -> None:
    with pytest.raises(InvalidRequest, match="does not end with"):
        parse_document("subject: A fox", Path("prompt.txt"))
    assert parse_document("{}", Path("P.JSON")) == {}


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    large = tmp_path / "large.json"
    large.write_bytes(b" " * (MOST_BYTES + 1))
    other = tmp_path / "latin.yaml"
    other.write_bytes("a: ö".encode("latin-1"))
    marked = tmp_path / "marked.json"
    marked.write_bytes(b"\xef\xbb\xbf" + b'{"a": "b"}')
    for path, words in (
        (large, "larger"),
        (other, "UTF-8"),
        (tmp_path / "absent.toml", "cannot be read"),
        (tmp_path, "cannot be read"),
    ):
        with pytest.raises(InvalidRequest, match=words):
            read_document(path)
    assert read_document(marked) == {"a": "b"}
