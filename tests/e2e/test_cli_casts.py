"""`heliograph casts`, `--cast` and the words of `-i`, as a user meets them."""

from pathlib import Path

import pytest
from PIL import Image
from tests.e2e.conftest import Bill
from tests.e2e.saying import Say

from heliograph import Heliograph
from heliograph.types import Given


@pytest.fixture(autouse=True)
def pictures() -> None:
    """Two files where the commands run."""
    Image.new("RGB", (64, 64), "red").save("fox.png")
    Image.new("RGB", (64, 48), "blue").save("board.png")


def _text(said_facts: dict[str, object]) -> str:
    """The words of a request that was only looked at."""
    body = said_facts["body"]
    assert isinstance(body, dict)
    parts = body["contents"][-1]["parts"]
    return "\n".join(part["text"] for part in parts if "text" in part)


def test_a_cast_is_added_shown_used_and_removed(say: Say, bill: Bill) -> None:
    added = say("casts", "add", "mascot", "fox.png", "--description", "A red fox")
    assert (added.code, "--cast mascot" in added.out) == (0, True)
    assert say("casts", "list", "--json").facts[0]["images"][0]["role"] == "character"
    Path("fox.png").unlink()
    asked = say("generate", "@mascot rides", "--cast", "mascot", "--dry-run").facts
    assert "mascot (image 1 below) rides" in _text(asked)
    assert "mascot: A red fox" in _text(asked)
    made = say("generate", "@mascot rides", "--cast", "mascot", "--size", "1K", "--json").facts
    shown = say("casts", "show", "mascot", "--json").facts
    assert made["parents"] == [shown["images"][0]["sha256"]]
    edited = say("edit", "-c", "@mascot waves", "--cast", "mascot", "--json").facts
    assert shown["images"][0]["sha256"] in edited["parents"]
    assert "is forgotten" in say("casts", "remove", "mascot").out
    assert "heliograph casts add" in say("casts", "list").out
    assert len(bill.lines) == 2


def test_several_images_with_roles_names_and_a_kept_picture(say: Say) -> None:
    kept = say("generate", "A tower", "--size", "1K", "--json").facts
    words = ("anna=fox.png", "style:look=board.png", kept["id"][:8])
    cast = say("casts", "add", "team", *words, "--json").facts
    assert [(i["name"], i["role"]) for i in cast["images"]] == [
        ("anna", "character"),
        ("look", "style"),
        ("team-3", "character"),
    ]
    assert cast["images"][2]["sha256"] == kept["sha256"]
    assert "@look" in say("casts", "show", "team").out


def test_a_cast_is_replaced_only_by_force(say: Say) -> None:
    assert say("casts", "add", "one", "fox.png").code == 0
    assert say("casts", "add", "one", "board.png").code == 2
    piped = Path("board.png").read_bytes()
    said = say("casts", "add", "one", "-", "--force", "--json", stdin=piped)
    assert said.facts["images"][0]["pixels"] == "64x48"


WRONG = [
    (("add", "1x", "fox.png"), 2, "must begin with a letter"),
    (("add", "none"), 2, "heliograph casts add mascot fox.png"),
    (("add", "gone", "nosuch.png"), 2, "no such file"),
    (("add", "role", "charcter:fox.png"), 2, "valid and nearest: character"),
    (("add", "twice", "a=fox.png", "a=board.png"), 2, "name of two images"),
    (("show", "nobody"), 9, "heliograph casts list"),
    (("remove", "nobody"), 9, "heliograph casts list"),
]


@pytest.mark.parametrize(("words", "code", "told"), WRONG, ids=lambda w: str(w)[:30])
def test_wrong_words(say: Say, words: tuple[str, ...], code: int, told: str) -> None:
    said = say("casts", *words)
    assert said.code == code
    assert told in said.err
    assert say("casts", "list", "--json").facts == []


# ---------------------------------------------------------------- -i


def test_roles_and_names_of_images_are_put_into_words(say: Say) -> None:
    images = ("-i", "character:hero=fox.png", "-i", "style:board.png")
    words = ("generate", "@hero at sea", *images, "--size", "1K", "--dry-run")
    text = _text(say(*words).facts)
    assert text.startswith("hero (image 1 below) at sea\n")
    assert "Image 1 hero: a character" in text
    assert "Image 2: a style to follow" in text


def test_every_wrong_image_is_named(say: Say, bill: Bill) -> None:
    images = ("-i", "charcter:fox.png", "-i", "1a=fox.png", "-i", "https://a.example/b.png")
    said = say("generate", "x", *images, "--size", "1K", "--json")
    told = [p["message"] for p in said.facts["error"]["facts"]["problems"]]
    assert len(told) == 3
    assert bill.lines == []


def test_standard_input_is_read_once_and_not_for_two_things(say: Say) -> None:
    piped = Path("fox.png").read_bytes()
    twice = say("generate", "x", "-i", "-", "-i", "hero=-", "--size", "1K", "--json", stdin=piped)
    assert "a second time" in twice.problem["message"]
    both = say("generate", "-i", "style:-", "--size", "1K", "--json", stdin=piped)
    assert both.problem["field"] == "prompt"


def test_the_clipboard_by_the_program_that_there_is(
    say: Say, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    programs = tmp_path / "programs"
    programs.mkdir()
    monkeypatch.setenv("PATH", str(programs))
    words = ("generate", "x", "-i", "clipboard", "--size", "1K", "--dry-run", "--json")
    assert "wl-clipboard" in say(*words).problem["message"]
    script = programs / "wl-paste"
    script.write_text(f'#!/bin/sh\nexec /bin/cat "{Path("fox.png").resolve()}"\n')
    script.chmod(0o755)
    assert say(*words).code == 0


def test_an_estimate_counts_the_images(say: Say) -> None:
    plain = say("estimate", "A fox", "--json").facts["estimate"]["expected_micro"]
    with_image = say("estimate", "A fox", "-i", "fox.png", "--json").facts["estimate"]
    assert with_image["expected_micro"] > plain


# ---------------------------------------------------------------- from Python


def test_the_blocking_client_has_edit_sessions_and_casts(say: Say) -> None:
    with Heliograph() as helio:
        helio.casts.add("mascot", [Given(source=Path("fox.png"), role="subject")])
        assert [c.references[0].role for c in helio.casts.list()] == ["subject"]
        first = helio.generate("A tower", size="1K", casts=["mascot"])
        turn = helio.edit("at night")
        assert (turn.node.number, turn.result.record.follows) == (1, first.record.id)
        asked = helio.sessions.request("at noon", of="0", session=turn.session.id)
        assert helio.sessions.run(asked).node.parent == first.record.id
        assert helio.sessions.undo().head == first.record.id
        assert helio.sessions.redo().head is not None
        assert helio.sessions.branch("1").head == turn.node.id
        named = helio.sessions.mark(turn.session.id, name="tower", starred=True)
        assert helio.sessions.find("tower").starred is named.starred is True
        assert helio.sessions.current().id == helio.sessions.list()[0].id
        assert helio.sessions.picture(turn.node) == turn.result.path
        folder = helio.sessions.export("tower", "out")
        assert len(helio.sessions.import_folder(folder).nodes) == 3
        helio.casts.remove(helio.casts.find("mascot").name)
        assert list(helio.casts.list()) == []
