"""Contact sheets and grounded requests on the command line, against the emulator."""

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from tests.e2e.conftest import Bill, Emulated
from tests.unit.test_sheets import check_page

from heliograph.cli import build_app
from heliograph.cli.edge import run
from heliograph.cli.report import MOST_SHOWN, Searches, grounding_words
from heliograph.storage import open_storage
from heliograph.types import Record

FLASH = "gemini-nano-banana-2.1"
LITE = "gemini-3.1-flash-lite-image"
QUERY = 14_000  # micro-dollars of one search query beyond the free ones: $14 per 1,000
FREE = 5000  # search queries a month


class Said:
    """What one command printed, and how it ended."""

    def __init__(self, code: int, out: str, err: str) -> None:
        self.code, self.out, self.err = code, out, err

    @property
    def facts(self) -> Any:
        return json.loads(self.out)


Say = Callable[..., Said]


@pytest.fixture(autouse=True)
def upstream(monkeypatch: pytest.MonkeyPatch, emulated: Emulated, project: str) -> None:
    """An upstream and a key in the environment, as a user would set them."""
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", emulated.url)
    monkeypatch.setenv("GEMINI_API_KEY", f"emu-project-{project}")
    monkeypatch.setenv("COLUMNS", "200")


@pytest.fixture
def say(capsys: pytest.CaptureFixture[str]) -> Say:
    """Run a command in this process."""

    def call(*words: str) -> Said:
        capsys.readouterr()
        code = run(build_app(), list(words))
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return Said(code, captured.out, captured.err)

    return call


def make(say: Say, prompt: str, *more: str) -> dict[str, Any]:
    done = say("generate", prompt, "--size", "1K", "-o", "out/", "--json", *more)
    assert done.code == 0, done.err + done.out
    found: dict[str, Any] = done.facts
    return found


# ---------------------------------------------------------------- grounding


@pytest.mark.parametrize("transport", ["generate_content", "interactions"])
@pytest.mark.parametrize("ground", ["web", "images"])
def test_a_grounded_picture_says_what_it_rests_on(
    say: Say, bill: Bill, monkeypatch: pytest.MonkeyPatch, transport: str, ground: str
) -> None:
    monkeypatch.setenv("HELIOGRAPH_TRANSPORT", transport)
    words = ("--size", "1K", "--model", FLASH, "--ground", ground, "-o", "out/")
    done = say("generate", "A fox in Oslo", *words)
    assert done.code == 0, done.err
    lines = done.err.splitlines()
    assert "[simulated] searched for: A fox in Oslo" in lines
    assert ("[simulated] searched for: A fox in Oslo photo" in lines) == (ground == "images")
    (cost,) = [line for line in lines if "searches cost: " in line]
    assert "nothing (" in cost
    assert "within the free ones of the month" in cost
    (record,) = say("images", "list", "--json").facts
    assert any(line.endswith(f"heliograph sheet {record['id'][:8]}") for line in lines)
    # only generateContent names the pages that a picture rests on
    sources = [line for line in lines if "] source: " in line]
    assert bool(sources) == (transport == "generate_content")
    if ground == "images" and sources:
        assert any("Simulated picture https://example.org/page-0" in line for line in sources)

    shown = say("images", "show", record["id"][:8], "--json").facts
    count = len(shown["grounding"]["queries"]) + len(shown["grounding"]["image_queries"])
    assert shown["searches"]["queries"] == count == bill.lines[0]["search_queries"]
    assert "<style>" in shown["grounding"]["entry_point"]
    assert shown["cost_micro"] == bill.micro
    told = say("images", "show", record["id"][:8]).out
    assert "Searched for" in told
    assert "Searches cost" in told
    assert ("Source" in told) == bool(sources)


def test_json_has_all_of_it(say: Say) -> None:
    found = make(say, "A fox in Oslo", "--ground", "web")
    assert set(found["grounding"]) == {"queries", "image_queries", "sources", "entry_point"}
    assert found["searches"]["queries"] == len(found["grounding"]["queries"])
    assert (found["searches"]["paid_queries"], found["searches"]["cost_micro"]) == (0, 0)
    assert make(say, "A fox in Rome")["searches"] is None


def test_queries_beyond_the_free_ones_are_in_the_cost(say: Say, bill: Bill, tmp_path: Path) -> None:
    first = make(say, "A fox in Oslo", "--ground", "web")
    use_up(tmp_path / "library", first["id"], FREE - first["searches"]["queries"] - 1)
    second = make(say, "A hare in Oslo", "--ground", "images", "--model", FLASH)
    queries = second["searches"]["queries"]
    assert queries >= 2
    assert second["searches"] == {
        "queries": queries,
        "paid_queries": queries - 1,
        "cost_micro": (queries - 1) * QUERY,
        "cost": second["searches"]["cost"],
    }
    # the emulator knows nothing of the queries that were used up here
    assert first["cost_micro"] + second["cost_micro"] == bill.micro + (queries - 1) * QUERY
    assert second["cost_micro"] <= second["estimate"]["high_micro"]

    done = say("generate", "A wolf", "--size", "1K", "--ground", "web", "-o", "out/")
    (told,) = [line for line in done.err.splitlines() if "searches cost: " in line]
    assert "which is in the cost" in told
    assert "searches cost: $0.0" in told


def use_up(home: Path, record_id: str, queries: int) -> None:
    """Write a settled line of so many queries, as if they had been searched this month."""

    async def write() -> None:
        storage = await asyncio.to_thread(open_storage, home)
        record = await storage.books.find(record_id)
        (line,) = [x for x in await storage.books.lines(record_id) if x.kind == "settle"]
        detail = {**line.detail, "queries": queries}
        entry = f"{record_id}-2-settle"
        extra = replace(line, entry_id=entry, micro=0, at=datetime.now(UTC), detail=detail)
        await storage.books.keep(record, [extra])
        await storage.close()

    asyncio.run(write())


@pytest.mark.parametrize(
    ("model", "ground"), [(LITE, "web"), (LITE, "images"), ("gemini-3-pro-image", "images")]
)
def test_a_model_without_grounding_refuses_before_any_call(
    say: Say, bill: Bill, monkeypatch: pytest.MonkeyPatch, model: str, ground: str
) -> None:
    monkeypatch.setattr("tests.e2e.conftest.SETTLING", 0.3)
    done = say("generate", "A fox", "--model", model, "--ground", ground, "-o", "out/")
    assert done.code == 2
    assert f"ground = '{ground}'" in done.err
    assert "can ground with" in done.err
    assert bill.lines == []


def test_foreign_words_cannot_steer_a_terminal(say: Say) -> None:
    found = make(say, "A fox", "--ground", "web")
    assert "\x1b" not in json.dumps(found)
    record = in_library(found["id"])
    evil = "\x1b]0;owned\x07\x1b[31m\u202e\r\n"
    sources = [{"title": evil + "title", "uri": f"https://example.org/{evil}"}] * 12
    facts = {"queries": [evil + "query"] * 11, "sources": sources, "entry_point": evil}
    searches = Searches(queries=11, paid=0, micro=0)
    told = list(grounding_words(replace(record, grounding=facts), searches))
    assert [name for name, _ in told].count("source") == MOST_SHOWN
    assert ("sources", f"and 2 more: heliograph images show {record.id[:8]} --json") in told
    assert ("searched for", "1 more") in told
    # what is left of them is made visible where it is printed, as everything is
    done = say("images", "show", record.id[:8])
    assert all(line.isprintable() for line in done.out.splitlines())


def in_library(record_id: str) -> Record:
    async def read() -> Record:
        storage = await asyncio.to_thread(open_storage, Path.cwd().parent / "library")
        try:
            return await storage.books.find(record_id)
        finally:
            await storage.close()

    return asyncio.run(read())


# ---------------------------------------------------------------- sheets


def test_a_sheet_of_the_latest_pictures(say: Say) -> None:
    made = [make(say, f"A fox number {n}") for n in (1, 2)]
    grounded = make(say, "Oslo & <b>today</b>", "--ground", "web")
    refused = say("generate", "A cat [[fault:no-image]]", "--size", "1K")
    assert refused.code == 6
    done = say("sheet", "-o", "sheets/")
    assert done.code == 0, done.err
    assert done.out.splitlines() == ["sheets/contact-sheet.html", "sheets/contact-sheet.png"]
    assert "[simulated] 3 pictures · simulated $" in done.err
    page = check_page(Path("sheets/contact-sheet.html").read_text("utf-8"))
    alts = [attributes["alt"] for attributes in page.of("img")]
    assert alts == ["Oslo & <b>today</b>", "A fox number 2", "A fox number 1"]
    (frame,) = page.of("iframe")
    assert str(frame["srcdoc"]).endswith(grounded["grounding"]["entry_point"])
    assert [a["href"] for a in page.of("a")] == [
        source["uri"] for source in grounded["grounding"]["sources"]
    ]
    assert page.text_of("span").count("simulated") == 3
    with Image.open("sheets/contact-sheet.png") as sheet:
        assert sheet.format == "PNG"

    again = say("sheet", "-o", "sheets/")
    assert (again.code, again.out) == (2, "")
    assert "--force" in again.err
    forced = say("sheet", "-o", "sheets", "--force", "--limit", "1", "--json").facts
    assert forced["records"] == [grounded["id"]]
    chosen = say("sheet", made[0]["id"][:8], made[1]["id"], made[0]["id"], "--no-png", "--json")
    assert chosen.facts["records"] == [made[0]["id"], made[1]["id"]]
    assert chosen.facts["png"] is None
    assert chosen.facts["simulated_micro"] == made[0]["cost_micro"] + made[1]["cost_micro"]
    assert chosen.facts["cost_micro"] == 0
    assert Path("contact-sheet.html").exists()


def test_a_sheet_of_a_search_is_named_for_it(say: Say) -> None:
    make(say, "A fox")
    make(say, "A hare", "--ground", "web")
    done = say("sheet", "--search", "HARE", "--no-html")
    assert done.out == "pictures-hare.png\n"
    assert "Google requires its search suggestions" in done.err
    titled = say("sheet", "--search", "fox", "--title", "Red foxes", "--no-png", "--no-html")
    assert titled.code == 2
    page = say("sheet", "--search", "fox", "--title", "Red foxes", "--no-png")
    assert page.out == "red-foxes.html\n"
    assert "Google" not in page.err
    assert check_page(Path("red-foxes.html").read_text("utf-8")).text_of("h1") == ["Red foxes"]


def test_a_sheet_of_nothing(say: Say) -> None:
    assert say("sheet").code == 9
    make(say, "A fox")
    assert say("sheet", "--search", "zebra").code == 9
    assert say("sheet", "ffffffff").code == 9
    for words in (
        ("--search", "fox", "--session", "s"),
        ("ffffffff", "--search", "fox"),
        ("--limit", "0"),
        ("--columns", "99"),
        ("-o", "-"),
        ("-o", "sheet.pdf"),
    ):
        assert say("sheet", *words).code == 2, words
    assert [path for path in Path().iterdir() if path.name != "out"] == []
