"""Word lists: files of entries, found by name, never outside their folder."""

from pathlib import Path

import pytest

from heliograph.errors import InvalidRequest
from heliograph.prompts.wildcard import count, every, parse
from heliograph.prompts.words import MOST_BYTES, MOST_ENTRIES, WordLists


def texts(lists: WordLists, name: str) -> list[str]:
    return list(every(parse(f"__{name}__"), lists, most=100))


def test_comments_blank_lines_and_marks_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("\ufeff# red things\n\n  red \r\n\\#ff0000\nrosé\n".encode())
    assert texts(WordLists(tmp_path), "a") == ["red", "#ff0000", "rosé"]


def test_own_lists_stand_before_those_that_come_along(tmp_path: Path) -> None:
    assert count(parse("__light__"), WordLists(tmp_path)) > 5
    (tmp_path / "light.txt").write_text("noon\n")
    assert texts(WordLists(tmp_path), "light") == ["noon"]


def test_lists_that_come_along_can_all_be_used() -> None:
    lists = WordLists()
    assert len(lists.names()) == 5
    for name in lists.names():
        assert 8 <= count(parse(f"__{name}__"), lists) <= 50


def test_names_with_folders_and_stars(tmp_path: Path) -> None:
    (tmp_path / "animal").mkdir()
    (tmp_path / "animal" / "wild.txt").write_text("fox\n")
    (tmp_path / "animal" / "tame.txt").write_text("cat\n")
    lists = WordLists(tmp_path)
    assert {"animal/wild", "animal/tame"} <= set(lists.names())
    assert texts(lists, "animal/*") == ["cat", "fox"]
    assert texts(lists, "animal/w*") == ["fox"]


@pytest.mark.parametrize("name", ["../secret", "animal/../../secret", "/etc/passwd", "a//b", "x."])
def test_no_name_leads_out_of_the_folder(name: str, tmp_path: Path) -> None:
    (tmp_path / "secret.txt").write_text("secret\n")
    (tmp_path / "lists" / "animal").mkdir(parents=True)
    with pytest.raises(InvalidRequest, match="is no word list"):
        WordLists(tmp_path / "lists").entries(name)


def test_an_unknown_list_says_what_is_near_and_where_lists_are(tmp_path: Path) -> None:
    (tmp_path / "colours.txt").write_text("red\n")
    with pytest.raises(InvalidRequest) as refused:
        texts(WordLists(tmp_path), "colors")
    assert refused.value.problems[0].nearest == ("__colours__",)
    assert str(tmp_path) in str(refused.value.remedy)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 entries"),
        (b"# nothing\n", "0 entries"),
        (b"x\n" * (MOST_ENTRIES + 1), "entries"),
        (b"x" * (MOST_BYTES + 1), "larger"),
        ("ö".encode("latin-1"), "cannot be read"),
        (b"{a|b\n", "never closed"),
        (b"0::a\n", "never come"),
    ],
    ids=lambda v: str(v)[:12],
)
def test_lists_that_cannot_be_used(data: bytes, words: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(data)
    with pytest.raises(InvalidRequest, match=words):
        WordLists(tmp_path).entries("a")
