"""`heliograph edit` and `heliograph sessions`: a talk about pictures, as a user has it."""

import signal
import subprocess
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageChops
from tests.e2e.conftest import Bill, Emulated
from tests.e2e.holding import holding
from tests.e2e.saying import Say
from tests.e2e.test_cli import GUARD, HELIOGRAPH, read_until, wait_for_call


@pytest.fixture
def first(say: Say) -> dict[str, Any]:
    """A picture that a talk begins with."""
    said = say("generate", "A lighthouse", "--size", "1K", "--aspect", "16:9", "--json")
    found: dict[str, Any] = said.facts
    return found


# ---------------------------------------------------------------- edit


def test_a_change_is_a_version_with_the_settings_of_the_one_before(
    say: Say, bill: Bill, first: dict[str, Any]
) -> None:
    warmer = say("edit", "-c", "Now warmer light", "--json").facts
    assert (warmer["version"], warmer["parent"], warmer["parent_version"]) == (1, first["id"], 0)
    assert (warmer["size"], warmer["aspect"], warmer["pixels"]) == ("1K", "16:9", first["pixels"])
    boat = say("edit", "-c", "Add a boat", "--aspect", "1:1", "--json").facts
    assert (boat["version"], boat["parent"], boat["aspect"]) == (2, warmer["id"], "1:1")
    assert boat["size"] == "1K"
    assert boat["session"] == warmer["session"]
    session = say("sessions", "show", "--json").facts
    assert session["cost_micro"] == warmer["cost_micro"] + boat["cost_micro"]
    assert bill.micro == first["cost_micro"] + session["cost_micro"]


def test_what_a_person_reads(say: Say, first: dict[str, Any]) -> None:
    said = say("edit", "-c", "Now warmer light", "-o", "warm.jpg")
    assert (said.code, said.out) == (0, "warm.jpg\n")
    lines = said.err.splitlines()
    assert all(line.startswith("[simulated] ") for line in lines)
    assert any("uploads 1 image, " in line for line in lines)
    assert any("version 1 of session " in line for line in lines)
    assert say("edit", "-c", "Again", "-q").err == ""


def test_finishing_is_taken_over_field_by_field(say: Say) -> None:
    say("generate", "A fox", "--size", "1K", "--format", "webp", "--quality", "80", "-q")
    other = say("edit", "-c", "at night", "--quality", "30", "--json").facts
    assert other["files"][0]["format"] == "webp"
    assert other["files"][0]["quality"] == 30
    dropped = say("edit", "-c", "at noon", "--drop", "finish", "--json").facts
    assert dropped["files"][0]["format"] == "jpeg"
    say("edit", "-c", "as a drawing", "--format", "png", "-q")
    named = say("edit", "-c", "in colour", "-o", "named.jpg", "--json").facts
    assert (named["files"][0]["path"], named["files"][0]["format"]) == ("named.jpg", "jpeg")


def test_flags_that_are_not_given_override_nothing(say: Say) -> None:
    words = ("--size", "1K", "--tag", "shop", "--include-thoughts")
    begun = say("generate", "A fox", *words, "--json").facts
    asked = say("edit", "-c", "at night", "--dry-run", "-q").facts
    assert asked["body"]["generationConfig"]["thinkingConfig"]["includeThoughts"] is True
    later = say("edit", begun["id"][:8], "at noon", "--json").facts
    assert say("edit", "-c", "x", "--json").facts["parent"] == later["id"]


@pytest.mark.parametrize("how", ["file", "id", "stdin"])
def test_what_can_be_changed(say: Say, first: dict[str, Any], how: str) -> None:
    data = Path(first["original"]).read_bytes()
    Path("photo.jpg").write_bytes(data)
    word = {"file": "photo.jpg", "id": first["id"][:8], "stdin": "-"}[how]
    said = say("edit", word, "make it night", "--size", "1K", "--json", stdin=data)
    assert said.code == 0
    assert said.facts["version"] == 1
    assert said.facts["parent"] == (first["id"] if how == "id" else None)


def test_the_change_comes_from_standard_input(say: Say, first: dict[str, Any]) -> None:
    said = say("edit", "-c", "--json", stdin="wärmer\n".encode())
    assert said.facts["prompt"] == "wärmer"


def test_a_session_and_a_version_by_number_and_name(say: Say, first: dict[str, Any]) -> None:
    warmer = say("edit", "-c", "warmer", "--json").facts
    say("edit", "-c", "a boat", "-q")
    say("generate", "Something else", "--size", "1K", "-q")
    session = warmer["session"][:8]
    assert say("sessions", "name", session, "1", "warm").code == 0
    one = say("edit", "--session", session, "--from", "warm", "a kite", "--json").facts
    assert (one["version"], one["parent_version"]) == (3, 1)
    two = say("edit", "--from", "0", "a gull", "--json").facts
    assert (two["version"], two["parent_version"], two["session"]) == (4, 0, warmer["session"])


def test_looking_first_sends_nothing(say: Say, bill: Bill, first: dict[str, Any]) -> None:
    said = say("edit", "-c", "a boat", "--dry-run")
    asked = said.facts
    assert asked["parent"] == first["id"]
    assert asked["earlier_turns"] == 1
    assert asked["upload_bytes"] > first["bytes"]
    assert asked["plan"]["estimate"]["expected_micro"] > 0
    assert "nothing was sent" in said.err
    assert len(bill.lines) == 1
    assert say("sessions", "list", "--json").facts == []


def test_only_the_region_is_changed_and_the_file_is_a_png(say: Say, bill: Bill) -> None:
    Image.effect_noise((1376, 768), 90).convert("RGB").save("photo.png")
    area = ("--region", "100,100,300,200", "--protect", "--feather", "0", "--size", "1K", "--json")
    refused = say("edit", "photo.png", "A red roof", *area, "-o", "roof.jpg")
    assert refused.code == 2
    assert "roof.png" in refused.problem["message"]
    assert bill.lines == []
    said = say("edit", "photo.png", "A red roof", *area, "-o", "roof.png")
    (file,) = said.facts["files"]
    assert (file["path"], file["format"]) == ("roof.png", "png")
    with Image.open("photo.png") as before, Image.open("roof.png") as after:
        apart = ImageChops.difference(before, after.convert("RGB"))
    assert apart.getbbox() == (100, 100, 400, 300)


def test_a_kept_picture_is_given_as_its_user_sees_it(say: Say, first: dict[str, Any]) -> None:
    area = ("--region", "100,100,300,200", "--protect")
    roof = say("edit", "-c", "A red roof", *area, "--json").facts
    words = ("generate", "In this style", "-i", roof["id"][:8], "--size", "1K", "--json")
    seen = say(*words).facts["parents"]
    assert seen == [roof["files"][0]["sha256"]]


WRONG = [
    ((), "image", "heliograph edit -c"),
    (("now warmer",), "image", "heliograph edit -c"),
    (("nosuch.jpg", "make it night"), "image", "is no file"),
    (("make it night", "photo.jpg"), "image", "the picture comes first"),
    (("-c", "photo.jpg", "night"), "image", "give only the change"),
    (("-c", "--wramer"), "image", "is no option"),
    (("https://a.example/b.png", "night"), "image", "download it first"),
    (("-", "night"), "image", "is empty"),
    (("-",), "change", "together with an image"),
    (("photo.jpg", "night", "--region", "1,2,3"), "region", "1200,800,900,600"),
    (("photo.jpg", "night", "--region", "9000,0,5,5"), "region", "outside"),
    (("photo.jpg", "night", "--mask", "photo.jpg"), "mask", "a mask is a PNG"),
    (("photo.jpg", "night", "--protect"), "protect", "needs a region or a mask"),
    (("photo.jpg", "night", "--context", "last"), "context", "last-N"),
    (("photo.jpg", "night", "--cast", "nobody"), "casts", "no kept cast"),
    (("photo.jpg", "night", "-o", "-"), "output", "one picture and nothing else"),
]


@pytest.mark.parametrize(("words", "field", "message"), WRONG, ids=lambda w: str(w)[:40])
def test_wrong_words_cost_nothing(
    say: Say, bill: Bill, words: tuple[str, ...], field: str, message: str
) -> None:
    Image.new("RGB", (64, 64), "red").save("photo.jpg")
    said = say("edit", *words, "--size", "1K", "--json")
    assert said.code == 2
    assert said.problem["field"] == field
    assert message in said.problem["message"]
    assert bill.lines == []


def test_a_setting_that_is_none_is_named_with_the_nearest(say: Say, first: dict[str, Any]) -> None:
    said = say("edit", "-c", "night", "--drop", "sead", "--json")
    assert said.problem["nearest"][0] == "seed"


def test_a_session_given_as_a_picture_is_told(say: Say, first: dict[str, Any]) -> None:
    session = say("edit", "-c", "warmer", "--json").facts["session"]
    said = say("edit", session[:8], "night", "--json")
    assert said.code == 9
    assert f"--session {session[:8]}" in said.facts["error"]["remedy"]


def test_a_key_for_a_turn_that_runs_twice(say: Say, bill: Bill, first: dict[str, Any]) -> None:
    words = ("edit", "-c", "warmer", "--idempotency-key", "turn-1", "--json")
    once, again = say(*words).facts, say(*words).facts
    assert (again["id"], again["version"]) == (once["id"], once["version"])
    assert (again["source"], again["charged_micro"]) == ("replay", 0)
    assert len(bill.lines) == 2


def _begin(emulated: Emulated, change: str, *words: str) -> "subprocess.Popen[str]":
    """An edit in a process of its own, once its call has arrived."""
    process = subprocess.Popen(
        [HELIOGRAPH, "edit", "-c", change, *words],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    wait_for_call(emulated, change)
    return process


def test_ctrl_c_waits_for_a_turn_that_is_paid_for(
    say: Say,
    emulated: Emulated,
    project: str,
    first: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with holding(emulated.url) as held, monkeypatch.context() as patch:
        patch.setenv("GOOGLE_GEMINI_BASE_URL", held.url)
        process = _begin(emulated, project, "-o", "boat.jpg")
        process.send_signal(signal.SIGINT)
        read_until(process, "Already sent")
        held.let_go()
        out, err = process.communicate(timeout=GUARD)
    assert (process.returncode, out) == (130, "boat.jpg\n"), err
    assert say("sessions", "show", "--json").facts["head_version"] == 1


def test_a_turn_that_was_given_up_is_in_the_tree_and_the_next_goes_on_before_it(
    say: Say, emulated: Emulated, project: str, first: dict[str, Any]
) -> None:
    say("edit", "-c", "warmer", "-q")
    process = _begin(emulated, f"{project} [[fault:slow:150]]")
    process.send_signal(signal.SIGINT)
    read_until(process, "Already sent")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=GUARD)
    assert process.returncode == 130, err
    tree = say("sessions", "show", "--json").facts
    assert [v["outcome"] for v in tree["versions"]] == ["kept", "kept", "unknown"]
    assert "at most $" in say("sessions", "tree").out
    assert say("edit", "-c", "a kite", "--json").facts["parent_version"] == 1


# ---------------------------------------------------------------- sessions


@pytest.fixture
def talk(say: Say, first: dict[str, Any]) -> str:
    """Version 0, 1 warmer, 2 a boat; 3 was refused, 4 goes on from 2."""
    found = say("edit", "-c", "warmer", "--json").facts
    say("edit", "-c", "a boat", "-q")
    assert say("edit", "-c", "a pier [[fault:image-safety]]", "-q").code == 6
    say("edit", "-c", "a kite", "-q")
    session: str = found["session"]
    return session[:8]


def test_the_tree_shows_what_was_refused_and_goes_on_below(say: Say, talk: str) -> None:
    lines = say("sessions", "tree", talk).out.splitlines()
    heads = [line[:24].rstrip() for line in lines]
    assert heads[:3] == ["  0 A lighthouse", "  1 warmer", "  2 a boat"]
    assert heads[3].strip()[1:].lstrip("\u2500- ").startswith("3 a pier")
    assert "refused" in lines[3]
    assert heads[4][2:] == "4 a kite"
    assert heads[4][0] in "→>"
    assert all("simulated" in line for line in lines)


def test_show_says_where_it_stands_and_what_it_cost(say: Say, talk: str) -> None:
    said = say("sessions", "show")
    facts = say("sessions", "show", talk, "--json").facts
    assert "Turns      4, 1 of them without a picture" in said.out
    assert "Stands at  version 4" in said.out
    assert facts["cost"] in said.out
    assert facts["context"] == "lineage"
    assert [v["outcome"] for v in facts["versions"]].count("refused") == 1


def test_undo_redo_and_branch_move_where_the_next_turn_goes_on(say: Say, talk: str) -> None:
    assert "stands at version 2" in say("sessions", "undo").out
    said = say("sessions", "undo", talk)
    assert "stands at version 1" in said.out
    assert "sessions redo" in said.err
    assert say("sessions", "redo", "--json").facts["head_version"] == 2
    assert say("sessions", "branch", "1", "--session", talk).code == 0
    assert say("edit", "-c", "a gull", "--json").facts["parent_version"] == 1
    assert say("sessions", "redo").code == 9
    assert say("sessions", "branch", "3", "--json").problem["field"] == "version"
    assert say("sessions", "branch", "99").code == 9


def test_what_is_removed_is_out_of_sight_and_comes_back(say: Say, talk: str) -> None:
    removed = say("sessions", "rm", talk, "4")
    assert f"heliograph sessions restore {talk} 4" in removed.err
    assert "a kite" not in say("sessions", "tree", talk).out
    assert "(removed) a kite" in say("sessions", "tree", talk, "--all").out
    assert say("sessions", "show", talk, "--json").facts["head_version"] == 2
    assert say("sessions", "restore", talk, "4").code == 0
    assert "a kite" in say("sessions", "tree", talk).out
    say("sessions", "rm", talk)
    assert say("sessions", "list", "--json").facts == []
    assert [s["turns"] for s in say("sessions", "list", "--removed", "--json").facts] == [4]
    say("sessions", "restore", talk)
    assert len(say("sessions", "list", "--json").facts) == 1


def test_what_is_said_to_bring_a_session_back_does(say: Say, talk: str) -> None:
    (listed,) = say("sessions", "list", "--json").facts
    said = say("sessions", "rm", listed["name"]).err
    words = said.rpartition("heliograph ")[2].split()
    assert words[:2] == ["sessions", "restore"]
    assert say(*words).code == 0
    assert [s["id"] for s in say("sessions", "list", "--json").facts] == [listed["id"]]
    # the name that lists show does as well, as long as nothing in sight has it
    say("sessions", "rm", talk)
    assert say("sessions", "restore", listed["name"]).code == 0
    say("sessions", "rm", talk)
    say("generate", listed["name"], "--size", "1K", "-q")
    other = say("edit", "-c", "at noon", "--json").facts["session"]
    assert say("sessions", "show", listed["name"], "--json").facts["id"] == other
    assert "--removed" in say("sessions", "show", "another one", "--json").facts["error"]["remedy"]


def test_names_and_stars(say: Say, talk: str) -> None:
    assert say("sessions", "name", talk, "lighthouse").code == 0
    assert say("sessions", "name", "lighthouse", "2", "with boat").code == 0
    assert say("sessions", "star", "lighthouse", "with boat").code == 0
    assert say("sessions", "star", "lighthouse").code == 0
    tree = say("sessions", "tree", "lighthouse").out
    assert "with boat: a boat" in tree
    (listed,) = say("sessions", "list", "--search", "HOUSE", "--json").facts
    assert (listed["name"], listed["starred"]) == ("lighthouse", True)
    assert "* lighthouse" in say("sessions", "list").out
    say("sessions", "unstar", "lighthouse", "2")
    versions = say("sessions", "show", "lighthouse", "--json").facts["versions"]
    assert [v["starred"] for v in versions] == [False] * 5
    assert say("sessions", "name", talk, "2", "7", "--json").problem["field"] == "name"
    assert say("sessions", "name", talk, "--json").problem["field"] == "name"
    assert say("sessions", "list", "--limit", "0", "--json").problem["field"] == "limit"


def test_a_session_goes_to_another_library_and_on(say: Say, talk: str, tmp_path: Path) -> None:
    other = ("--home", str(tmp_path / "other"))
    assert say("sessions", "export", talk, "out").out == "out\n"
    assert say("sessions", "export", talk, "out").code == 2
    assert say("sessions", "export", talk, "out", "--force", "--json").facts["versions"] == 5
    assert "with 5 versions" in say("sessions", "import", "out", *other).out
    said = say("edit", "--session", talk, "one more", "--json", *other)
    assert (said.facts["version"], said.facts["parent_version"]) == (5, 4)
    assert say("sessions", "import", ".", *other).code == 1


def test_nothing_yet_says_how_to_begin(say: Say) -> None:
    assert "heliograph edit photo.jpg" in say("sessions", "list").out
    assert say("sessions", "list", "--removed").out == "There is none.\n"
    assert say("sessions", "show").code == 9
    assert say("edit", "-c", "warmer").code == 9


def test_words_of_others_cannot_steer_the_terminal(say: Say, first: dict[str, Any]) -> None:
    say("edit", "-c", "red\x1b[31m \u202eroof [bold]x[/bold]", "-q")
    for command in ("tree", "show", "list"):
        said = say("sessions", command)
        assert "\x1b" not in said.out
        assert "\u202e" not in said.out
    assert "[bold]x[/bold]" in say("sessions", "tree").out
