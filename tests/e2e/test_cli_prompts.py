"""Prompts on the command line: sections, templates, wildcards, warnings, and what is recorded."""

import io
import json
import re
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.e2e.conftest import Bill, Emulated
from tests.e2e.saying import Say
from tests.e2e.test_cli import GUARD, HELIOGRAPH

from heliograph.cli import build_app, with_command
from heliograph.cli.edge import run as run_command
from heliograph.cli.wording import MOST_LETTERS

THREE_FOUR_TWO = "A {red|silver|white} fox in {snow|rain|fog|sun}, {ink|oil}"


@dataclass(frozen=True, kw_only=True)
class Said:
    """What one command printed, and how it ended."""

    returncode: int
    stdout: str
    stderr: str


Run = Callable[..., Said]


@pytest.fixture
def run(
    emulated: Emulated,
    project: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Run:
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", emulated.url)
    monkeypatch.setenv("GEMINI_API_KEY", f"emu-project-{project}")
    monkeypatch.setenv("COLUMNS", "120")

    def call(*words: str, given: str = "") -> Said:
        # in this process: loading the program takes longer than most of these commands
        monkeypatch.setattr("sys.stdin", io.StringIO(given))
        code = run_command(build_app(), with_command(list(words)))
        screen = capsys.readouterr()
        return Said(returncode=code, stdout=screen.out, stderr=screen.err)

    return call


@pytest.fixture
def sent(emulated: Emulated, project: str) -> Callable[[], bool]:
    """Whether the emulator has heard of this test's project."""
    return lambda: emulated.ledger.exists() and project in emulated.ledger.read_text()


def facts(done: Said) -> Any:
    assert done.returncode == 0, done.stderr + done.stdout
    return json.loads(done.stdout)


def problems(done: Said) -> list[dict[str, Any]]:
    assert done.returncode == 2, done.stderr
    found: list[dict[str, Any]] = json.loads(done.stdout)["error"]["facts"]["problems"]
    return found


# ---------------------------------------------------------------- combinations


def test_three_by_four_by_two_are_24_plans_with_one_estimate(
    run: Run, sent: Callable[[], bool]
) -> None:
    found = facts(run("generate", THREE_FOUR_TWO, "--all", "--size", "1K", "--dry-run", "--json"))
    assert found["calls"] == len(found["requests"]) == 24
    prompts = [request["prompt"] for request in found["requests"]]
    assert len(set(prompts)) == 24
    assert prompts[0] == "A red fox in snow, ink"
    for request in found["requests"]:
        (content,) = request["body"]["contents"]
        assert content["parts"][-1]["text"] == request["prompt"]
    for name in ("low_micro", "expected_micro", "high_micro"):
        parts = [request["plan"]["estimate"][name] for request in found["requests"]]
        assert found["estimate"][name] == sum(parts)
    assert not sent()
    estimated = facts(run("estimate", THREE_FOUR_TWO, "--combinations", "--size", "1K", "--json"))
    assert estimated["calls"] == 24
    assert estimated["estimate"] == found["estimate"]


def test_the_limit_is_for_all_of_them(run: Run, sent: Callable[[], bool]) -> None:
    done = run("generate", THREE_FOUR_TWO, "--all", "--size", "1K", "--max-cost", "3.50")
    assert done.returncode == 7
    assert "24 variations may cost up to" in done.stderr
    assert not sent()


def test_every_combination_is_made_once_and_recorded_as_it_was_sent(run: Run, bill: Bill) -> None:
    words = ("generate", "A {red|blue} fox in {snow|rain}", "--all", "--size", "1K")
    done = run(*words, "--seed", "9", "-o", "fox.jpg")
    assert done.returncode == 0, done.stderr
    assert sorted(done.stdout.split()) == [f"fox-{n}.jpg" for n in (1, 2, 3, 4)]
    assert re.search(r"4 pictures: about \$\S+ in all, at most \$\S+", done.stderr)
    wanted = {f"A {c} fox in {w}" for c in ("red", "blue") for w in ("snow", "rain")}
    kept = facts(run("images", "list", "--json"))
    assert {record["prompt"] for record in kept} == wanted
    assert len(bill.lines) == 4
    assert all(f"prompt: {text}" in done.stderr for text in wanted)


def test_more_than_a_hundred_are_refused(run: Run) -> None:
    (problem,) = problems(run("generate", "{a|b}" * 7, "--all", "--json"))
    assert "128 combinations" in problem["value"]
    (problem,) = problems(run("generate", "{a|b}", "--all", "-n", "2", "--json"))
    assert "contradicts --all" in problem["message"]


# ---------------------------------------------------------------- wildcards


def test_braces_are_sent_as_they_are_unless_that_is_asked(run: Run) -> None:
    text = 'A {red|blue} fox, {"k": "__v__"} {'
    done = run("generate", text, "--size", "1K", "--dry-run", "--json")
    found = facts(done)
    (content,) = found["body"]["contents"]
    assert content["parts"][-1]["text"] == text
    assert "--wildcards" in found["notes"][0]


def test_a_seed_repeats_its_words_and_variations_count_up(run: Run) -> None:
    words = ("generate", THREE_FOUR_TWO, "--wildcards", "-n", "3", "--size", "1K", "--dry-run")
    first = facts(run(*words, "--wildcard-seed", "5", "--json"))
    again = facts(run(*words, "--wildcard-seed", "5", "--json"))
    assert first == again
    texts = [request["prompt"] for request in first["requests"]]
    tried = facts(run("prompts", "try", THREE_FOUR_TWO, "--seed", "6", "-n", "2", "--json"))
    assert [t["text"] for t in tried["texts"]] == texts[1:]
    by_seed = facts(run(*words, "--seed", "5", "--json"))
    assert [request["prompt"] for request in by_seed["requests"]] == texts
    assert by_seed["wildcard_seed"] == 5


def test_a_made_up_seed_is_told_and_works(run: Run) -> None:
    done = run("generate", THREE_FOUR_TWO, "--wildcards", "--size", "1K", "-o", "a.jpg", "--json")
    made = facts(done)
    assert f"--wildcard-seed {made['wildcard_seed']}" in " ".join(made["notes"])
    tried = facts(
        run("prompts", "try", THREE_FOUR_TWO, "--seed", str(made["wildcard_seed"]), "--json")
    )
    assert tried["texts"][0]["text"] == made["prompt"]


def test_an_idempotency_key_keeps_its_words(run: Run, bill: Bill) -> None:
    words = ("generate", THREE_FOUR_TWO, "--wildcards", "--size", "1K", "--json")
    made = [facts(run(*words, "--idempotency-key", "order-1")) for _ in range(2)]
    assert made[0]["id"] == made[1]["id"]
    assert len(bill.lines) == 1


def test_own_word_lists(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "library" / "wildcards" / "animal"
    folder.mkdir(parents=True)
    (folder / "wild.txt").write_text("# tame ones are elsewhere\nlynx\n")
    tried = facts(run("prompts", "try", "A __animal/wild__", "--json"))
    assert tried["texts"][0]["text"] == "A lynx"
    (problem,) = problems(run("prompts", "try", "A __animal/wold__", "--json"))
    assert problem["nearest"] == ["__animal/wild__"]


# ---------------------------------------------------------------- sections, templates


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.yaml", "subject: A fox\nstyle: oil\nnegative: [people]\n"),
        ("p.json", '{"subject": "A fox", "style": "oil", "negative": ["people"]}'),
        ("p.toml", 'subject = "A fox"\nstyle = "oil"\nnegative = ["people"]\n'),
    ],
)
def test_sections_from_files_and_flags_are_the_same(name: str, text: str, run: Run) -> None:
    Path(name).write_text(text)
    flags = ("--style", "oil", "--negative", "people")
    ways = [
        ("--prompt-file", name),
        ("A fox", *flags),
        ("--subject", "A fox", *flags),
    ]
    texts = set()
    for words in ways:
        found = facts(run("generate", *words, "--size", "1K", "--dry-run"))
        texts.add(found["body"]["contents"][0]["parts"][-1]["text"])
    piped = facts(run("generate", *flags, "--size", "1K", "--dry-run", given="A fox\n"))
    texts.add(piped["body"]["contents"][0]["parts"][-1]["text"])
    assert texts == {
        "A fox. Style: oil. Constraints: an empty scene, free of people.",
    }


def test_the_template_of_the_issue(run: Run) -> None:
    words = ("-t", "product-shot", "-p", "product=luxury watch")
    made = facts(run("generate", *words, "--size", "1K", "--json"))
    assert made["prompt"].startswith("Product shot: luxury watch, on ")
    assert (made["aspect"], made["template"]) == ("4:5", "product-shot")
    assert any("--aspect changes it" in line for line in made["notes"])
    wide = facts(run("estimate", *words, "--size", "1K", "--aspect", "16:9", "--json"))
    assert (wide["aspect"], wide["prompt"]) == ("16:9", made["prompt"])


def test_values_of_a_template_hold_wildcards_only_when_that_is_asked(run: Run) -> None:
    words = ("-t", "product-shot", "-p", "product={ring|watch}", "--size", "1K", "--dry-run")
    plain = facts(run("generate", *words, "--json"))
    assert "{ring|watch}" in plain["body"]["contents"][0]["parts"][-1]["text"]
    assert "wildcards in product" in plain["notes"][0]
    both = facts(run("generate", *words, "--all", "--json"))
    starts = [request["prompt"].split(",")[0] for request in both["requests"]]
    assert starts == ["Product shot: ring", "Product shot: watch"]


@pytest.mark.parametrize(
    ("words", "field"),
    [
        (("A fox", "-t", "poster"), "prompt"),
        (("A fox", "-p", "x=y"), "param"),
        (("-t", "poster", "--prompt-file", "p.txt"), "prompt_file"),
        (("A fox", "--subject", "An owl"), "subject"),
        (("A fox", "--prompt-file", "p.txt"), "prompt"),
        (("--prompt-file", "absent.yaml"), "document"),
        (("-t", "product-shot", "-p", "product"), "param"),
        (("-t", "product-shot", "-p", "product=a", "-p", "product=b"), "param"),
        (("--wildcards", "A {red|blue fox"), "prompt"),
    ],
    ids=str,
)
def test_contradictions_are_refused_before_anything_is_sent(
    words: tuple[str, ...], field: str, run: Run, sent: Callable[[], bool]
) -> None:
    found = problems(run("generate", *words, "--json"))
    assert [problem["field"] for problem in found] == [field]
    assert not sent()


def test_a_template_as_prompt_file_says_how_it_is_used(run: Run) -> None:
    Path("t.toml").write_text('prompt = "A fox"\n')
    (problem,) = problems(run("generate", "--prompt-file", "t.toml", "--json"))
    assert "-t t.toml" in problem["message"]
    assert facts(run("estimate", "-t", "t.toml", "--json"))["prompt"] == "A fox"


def test_a_prompt_file_has_a_bounded_length(run: Run) -> None:
    Path("long.txt").write_text("x" * (MOST_LETTERS + 1))
    (problem,) = problems(run("estimate", "--prompt-file", "long.txt", "--json"))
    assert (problem["field"], problem["value"]) == ("prompt_file", "long.txt")
    assert "longer than" in problem["message"]
    Path("fine.txt").write_bytes(b" A fox\r\nin snow \n")
    found = facts(run("estimate", "--prompt-file", "fine.txt", "--json"))
    assert found["prompt"] == "A fox\nin snow"


def test_a_prompt_file_without_end_is_not_read_whole() -> None:
    words = f"{HELIOGRAPH} estimate --prompt-file /dev/zero --json"
    done = subprocess.run(
        ["bash", "-c", f"ulimit -v 4000000; exec {words}"],  # kB, for the case that it is
        capture_output=True,
        check=False,
        timeout=GUARD,
    )
    (problem,) = json.loads(done.stdout)["error"]["facts"]["problems"]
    assert (done.returncode, problem["value"]) == (2, "/dev/zero")


@pytest.mark.parametrize(
    ("words", "field"),
    [(("generate", "--size", "1K"), "prompt"), (("edit", "-c", "--size", "1K"), "change")],
)
def test_a_prompt_without_end_does_not_come_from_standard_input_either(
    words: tuple[str, ...], field: str, say: Say
) -> None:
    for given, message in ((b"x" * (MOST_LETTERS + 1), "longer than"), (b"\xff", "no text")):
        problem = say(*words, "--json", stdin=given).problem
        assert (problem["field"], problem["value"]) == (field, "-")
        assert message in problem["message"]


# ---------------------------------------------------------------- warnings


def test_warnings_are_notes_and_facts_and_change_nothing(run: Run) -> None:
    text = 'A fox in 4K with a sign "OPEN'
    done = run("generate", text, "--size", "1K", "-o", "a.jpg")
    assert done.returncode == 0
    assert "[simulated] note: The prompt says 4K" in done.stderr
    assert "[simulated] note: The quotation mark" in done.stderr
    (kept,) = facts(run("images", "list", "--json"))
    assert kept["prompt"] == text
    told = facts(run("generate", text, "--size", "1K", "--json"))
    codes = [warning["code"] for warning in told["prompt_warnings"]]
    assert codes == ["unbalanced_quotes", "size_in_words"]
    assert all(warning["remedy"] for warning in told["prompt_warnings"])


def test_quiet_says_nothing(run: Run) -> None:
    done = run("generate", 'A {red|blue} fox "4K', "--size", "1K", "-q", "--wildcards")
    assert done.returncode == 0
    assert done.stderr == ""


# ---------------------------------------------------------------- prompts


def test_prompts_are_saved_shown_searched_and_used(run: Run, tmp_path: Path) -> None:
    words = ("harbour", "A harbour in ${weather}, {ink|oil}", "-p", "weather=fog", "--tag", "sea")
    saved = run("prompts", "new", *words)
    path = tmp_path / "library" / "prompts" / "harbour.toml"
    assert saved.stdout.strip() == str(path)
    again = run("prompts", "new", *words, "--json")
    assert again.returncode == 2
    assert json.loads(again.stdout)["error"]["code"] == "would_overwrite"
    assert facts(run("prompts", "new", *words, "--force", "--json"))["path"] == str(path)
    listed = facts(run("prompts", "list", "--search", "SEA fog", "--json"))
    assert [(p["name"], p["from"]) for p in listed["prompts"]] == [("harbour", "yours")]
    shown = run("prompts", "show", "harbour").stdout
    assert "weather" in shown
    assert "[fog]" in shown
    tried = facts(run("prompts", "try", "-t", "harbour", "--all", "--json"))
    texts = [t["text"] for t in tried["texts"]]
    assert texts == ["A harbour in fog, ink", "A harbour in fog, oil"]
    made = facts(run("generate", "-t", "harbour", "-p", "weather=snow", "--size", "1K", "--json"))
    assert made["prompt"] in ("A harbour in snow, ink", "A harbour in snow, oil")


def test_a_prompt_of_one_s_own_from_a_template(run: Run) -> None:
    words = ("-t", "product-shot", "-p", "product=luxury watch", "--style", "charcoal")
    made = facts(run("prompts", "new", "watch", *words, "--json"))
    assert made["sections"]["style"] == "charcoal"
    tried = facts(run("prompts", "try", "-t", "watch", "--json"))
    assert "luxury watch" in tried["texts"][0]["text"]
    assert "Style: charcoal." in tried["texts"][0]["text"]


@pytest.mark.parametrize(
    "words", [("../x", "A fox"), ("x", "A {fox"), ("x", " "), ("x", "A fox", "-p", "y=z")], ids=str
)
def test_a_prompt_that_could_not_be_used_is_not_saved(
    words: tuple[str, ...], run: Run, tmp_path: Path
) -> None:
    assert problems(run("prompts", "new", *words, "--json"))
    assert not (tmp_path / "library" / "prompts").exists()


def test_try_sends_nothing_and_needs_no_key(
    run: Run, sent: Callable[[], bool], tmp_path: Path
) -> None:
    done = run("prompts", "try", "A {red|blue} fox in 8K", "--seed", "1", "--size", "2K")
    assert done.returncode == 0
    assert done.stderr == ""
    assert "Warning: The prompt says 8K" in done.stdout
    assert "Note: wildcards resolved with seed 1" in done.stdout
    assert "Cost" in done.stdout
    assert not sent()


def test_tokens_are_counted_by_the_upstream_at_no_cost(run: Run, bill: Bill) -> None:
    words = ("prompts", "try", "A snow leopard at golden hour", "--count-tokens")
    (tried,) = facts(run(*words, "--json"))["texts"]
    assert tried["tokens_counted"] is True
    assert tried["tokens"] > 0
    assert (
        f"Tokens  {tried['tokens']} of 131072, counted by gemini-3-pro-image" in run(*words).stdout
    )
    made = facts(run("generate", "A snow leopard at golden hour", "--size", "1K", "--json"))
    assert made["usage"]["prompt_tokens"] == tried["tokens"]
    assert len(bill.lines) == 1


def test_a_broken_file_hides_no_other_prompt(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "library" / "prompts"
    folder.mkdir()
    (folder / "broken.toml").write_text("prompt = [")
    done = run("prompts", "list")
    assert done.returncode == 0
    assert "product-shot" in done.stdout
    assert "broken.toml" in done.stderr
