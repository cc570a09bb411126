"""The words of `-i`: role, name and source; and the clipboard's programs."""

import stat
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.cli.clipboard import clipboard_picture
from heliograph.cli.given import Named, reads_stdin, take_apart
from heliograph.errors import InvalidRequest
from heliograph.types import ROLES


def nothing_exists(word: str) -> bool:
    del word
    return False


APART = [
    ("hero.png", Named(source="hero.png")),
    ("style:moodboard.jpg", Named(role="style", source="moodboard.jpg")),
    ("STYLE:moodboard.jpg", Named(role="style", source="moodboard.jpg")),
    ("hero=hero.png", Named(name="hero", source="hero.png")),
    ("character:hero=hero.png", Named(role="character", name="hero", source="hero.png")),
    ("pose:-", Named(role="pose", source="-")),
    ("me=clipboard", Named(name="me", source="clipboard")),
    ("scene:3f2a91c0", Named(role="scene", source="3f2a91c0")),
    (r"C:\pictures\fox.png", Named(source=r"C:\pictures\fox.png")),
    ("c:/pictures/fox.png", Named(source="c:/pictures/fox.png")),
    (r"style:C:\fox.png", Named(role="style", source=r"C:\fox.png")),
    (r"hero=C:\fox.png", Named(name="hero", source=r"C:\fox.png")),
    ("style:./a=b.png", Named(role="style", source="./a=b.png")),
    ("./style:a.png", Named(source="./style:a.png")),
    ("some/folder=x/a.png", Named(source="some/folder=x/a.png")),
    ("https://a.example/b?c=d", Named(source="https://a.example/b?c=d")),
]


@pytest.mark.parametrize(("word", "named"), APART, ids=[word for word, _ in APART])
def test_words(word: str, named: Named) -> None:
    assert take_apart(word, nothing_exists) == named


def test_a_file_is_what_its_name_says_as_a_whole() -> None:
    assert take_apart("style:a=b.png", {"style:a=b.png"}.__contains__) == Named(
        source="style:a=b.png"
    )
    assert take_apart("style:a=b.png", {"a=b.png"}.__contains__) == Named(
        role="style", source="a=b.png"
    )


WRONG = [
    ("charcter:hero.png", "no role", "character"),
    ("person:hero.png", "no role", None),
    ("1a=hero.png", "no name", None),
    ("style:", "names no image", None),
    ("hero=", "names no image", None),
    ("", "names no image", None),
]


@pytest.mark.parametrize(("word", "message", "close"), WRONG)
def test_wrong_words(word: str, message: str, close: str | None) -> None:
    with pytest.raises(InvalidRequest) as caught:
        take_apart(word)
    (problem,) = caught.value.problems
    assert message in problem.message
    assert close is None or problem.nearest[0] == close


@given(
    role=st.none() | st.sampled_from(ROLES),
    name=st.none() | st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,39}", fullmatch=True),
    source=st.from_regex(r"\./[a-z:=. ]{1,20}", fullmatch=True)
    | st.sampled_from(["-", "clipboard"]),
)
def test_what_is_put_together_comes_apart(role: str | None, name: str | None, source: str) -> None:
    word = f"{role}:" * bool(role) + f"{name}=" * bool(name) + source
    assert take_apart(word, nothing_exists) == Named(role=role, name=name, source=source)
    assert reads_stdin([word]) is (source == "-")


@given(st.text(max_size=60))
def test_any_word_is_an_image_or_a_problem(word: str) -> None:
    with suppress(InvalidRequest):
        named = take_apart(word, nothing_exists)
        assert word.endswith(named.source)
        assert named.role is None or named.role in ROLES


# ---------------------------------------------------------------- clipboard


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of programs that is all there is."""
    folder = tmp_path / "programs"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def _program(folder: Path, name: str, *lines: str) -> None:
    path = folder / name
    path.write_text("\n".join(("#!/bin/sh", *lines)) + "\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


def test_without_a_program_the_remedy_is_that_of_the_system(programs: Path) -> None:
    assert not list(programs.iterdir())
    for platform, word in (("linux", "wl-clipboard"), ("darwin", "pngpaste"), ("win32", "file")):
        with pytest.raises(InvalidRequest, match=word):
            clipboard_picture(platform)


def test_the_first_program_that_has_a_picture(programs: Path) -> None:
    _program(programs, "wl-paste", "exit 1")
    _program(programs, "xclip", 'case "$*" in *image/jpeg*) printf jpeg ;; *) exit 1 ;; esac')
    assert clipboard_picture("linux") == b"jpeg"


def test_what_mac_and_windows_print_is_decoded(programs: Path) -> None:
    _program(programs, "osascript", "echo '\u00abdata PNGf89504e47\u00bb'")
    assert clipboard_picture("darwin") == bytes.fromhex("89504e47")
    _program(programs, "powershell.exe", "printf 'aGVs\\nbG8=\\n'")
    assert clipboard_picture("win32") == b"hello"


def test_a_clipboard_without_a_picture_and_one_with_a_film(programs: Path) -> None:
    _program(programs, "wl-paste", "exit 1")
    with pytest.raises(InvalidRequest, match="holds no picture"):
        clipboard_picture("linux")
    _program(programs, "wl-paste", "exec /usr/bin/head -c 100000000 /dev/zero")
    with pytest.raises(InvalidRequest, match="holds more than"):
        clipboard_picture("linux")


def test_a_program_that_hangs_is_not_waited_for(programs: Path) -> None:
    _program(programs, "wl-paste", "exec /bin/sleep 3600")
    with pytest.raises(InvalidRequest, match="holds no picture"):
        clipboard_picture("linux", timeout=0.1)
