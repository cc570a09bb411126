"""Contact sheets: a page that nothing can break out of, files that are never written over."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from tests.imaging.pictures import bytes_of, encoded, files_in, natural, saved

from heliograph.calls import Rules
from heliograph.errors import InvalidRequest, RecordNotFound, StorageError, WouldOverwrite
from heliograph.imaging import DirectImager
from heliograph.leases import Lease
from heliograph.ports import Blobs, Books, Cabinet, Imager, Journal
from heliograph.sheets import (
    MOST,
    Entry,
    Layout,
    Thumbnail,
    grounding_of,
    html,
    is_link,
    make_sheet,
    one_line,
    totals,
)
from heliograph.sheets.entry import clean
from heliograph.storage import MemoryBooks, MemoryCabinet, MemoryJournal, blob_key
from heliograph.storage.local_blobs import LocalBlobs
from heliograph.types import (
    Estimate,
    Grounding,
    KeptImage,
    Outcome,
    Pixels,
    Record,
    Role,
    Verdict,
)

NOON = datetime(2026, 11, 1, 12, 0, tzinfo=UTC)
SANDBOX = "allow-popups allow-popups-to-escape-sandbox"
VOID = {"meta", "img"}
TAGS = {
    *("html", "head", "meta", "title", "style", "body", "header", "h1", "main", "article"),
    *("figure", "img", "span", "div", "p", "dl", "dt", "dd", "section", "h2", "iframe"),
    *("q", "bdi", "ol", "li", "a"),
}
ATTRIBUTES = {
    *("lang", "charset", "http-equiv", "content", "name", "dir", "class", "title", "width"),
    *("height", "alt", "src", "href", "rel", "target", "sandbox", "referrerpolicy", "srcdoc"),
}
HOSTILE = (
    "</style></title></iframe>",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "' onload='alert(1)",
    "--><!--",
    "<![CDATA[",
    "&quot;&#x3c;&lt",
    "</q></bdi></li></ol></article>",
    "\x00\x1b[31m\u2028\ud800\ufffe\r\n",
    "\u202e",
)
foreign = st.lists(st.sampled_from(HOSTILE) | st.text(st.characters(), max_size=8), max_size=5).map(
    "".join
)


class Page(HTMLParser):
    """Reads a page and refuses one that is not well formed."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[tuple[str, ...], str]] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.texts and self.texts[-1][0] == tuple(self._open):
            self.texts[-1] = (tuple(self._open), self.texts[-1][1] + data)
        else:
            self.texts.append((tuple(self._open), data))

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")

    def unknown_decl(self, data: str) -> None:
        raise AssertionError(f"a section: {data}")

    def of(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of each element of a kind."""
        return [attributes for name, attributes in self.elements if name == tag]

    def text_of(self, tag: str) -> list[str]:
        """The texts directly inside elements of a kind."""
        return [text for path, text in self.texts if path and path[-1] == tag]

    @property
    def outline(self) -> list[tuple[str, tuple[str, ...]]]:
        """The elements and the names of their attributes."""
        return [(tag, tuple(attributes)) for tag, attributes in self.elements]


def a_record(number: int = 1, **changes: Any) -> Record:
    sha = f"{number:064x}"
    image = KeptImage(
        sha256=sha,
        key=blob_key(sha, ".jpg"),
        role=Role.RESULT,
        format="jpeg",
        media_type="image/jpeg",
        pixels=Pixels(5504, 3072),
        size=8_700_000,
        verdict=Verdict.VERIFIED,
    )
    record = Record(
        id=f"{number:08x}" + "0" * 24,
        created=NOON,
        outcome=Outcome.KEPT,
        prompt="A lighthouse",
        model="gemini-3-pro-image",
        size="4K",
        aspect="16:9",
        tier="standard",
        verdict=Verdict.VERIFIED,
        images=(image,),
        cost=240_000,
        estimate=Estimate(low=1, expected=2, high=3, priced_on="2026-11-01", price_version="p"),
        simulated=False,
        upstream="generativelanguage.googleapis.com",
        request={},
    )
    return replace(record, **changes)


def grounded(**facts: Any) -> Record:
    known = {"queries": ["q"], "sources": [{"title": "t", "uri": "https://example.org/"}]}
    return a_record(grounding={**known, "entry_point": "<b>chips</b>", **facts})


def page_of(*records: Record, title: str = "Sheet") -> str:
    small = Thumbnail(path=Path("a.webp"), data=b"RIFF", pixels=Pixels(512, 286))
    entries = [Entry(record=r, thumbnail=small if r.result else None) for r in records]
    return html(entries, title=title, columns=4, made=NOON)


def check_page(text: str) -> Page:
    """Everything that holds for every page, whatever is on it."""
    text.encode("utf-8")
    page = Page(text)
    assert {tag for tag, _ in page.elements} <= TAGS
    assert {name for _, attributes in page.elements for name in attributes} <= ATTRIBUTES
    assert all(str(a["src"]).startswith("data:image/webp;base64,") for a in page.of("img"))
    assert all("src" not in attributes for attributes in page.of("iframe"))
    assert all(attributes["sandbox"] == SANDBOX for attributes in page.of("iframe"))
    for attributes in page.of("a"):
        assert str(attributes["href"]).startswith(("http://", "https://"))
        assert attributes["rel"] == "noreferrer noopener"
    (style,) = page.text_of("style")
    assert not any(word in style for word in ("url(", "@import", "http", "expression"))
    (policy,) = [a["content"] for a in page.of("meta") if "http-equiv" in a]
    assert str(policy).startswith("default-src 'none'; img-src data:;")
    assert "script-src" not in str(policy)
    return page


@given(foreign, foreign, foreign, foreign, foreign, foreign)
def test_no_foreign_text_becomes_markup(
    prompt: str, title: str, query: str, name: str, entry: str, warning: str
) -> None:
    plain = grounded(domain="d")
    known = Page(page_of(replace(plain, warnings=("w",)), title="t"))
    record = replace(
        grounded(
            queries=[query],
            sources=[{"title": f"x{name}", "uri": "https://example.org/"}],
            entry_point=f"x{entry}",
        ),
        prompt=prompt,
        warnings=(warning,),
    )
    page = check_page(page_of(record, title=title))
    assert page.outline == known.outline
    (frame,) = page.of("iframe")
    assert str(frame["srcdoc"]).endswith(f"<style>body{{margin:0}}</style>x{clean(entry)}")
    assert "".join(page.text_of("h1")) == one_line(title)
    assert clean(prompt) in "".join(page.text_of("p"))


@given(foreign)
def test_a_foreign_address_is_a_link_or_a_word(uri: str) -> None:
    for address in (uri, f"https://{uri}", f"https://example.org/{uri}"):
        page = check_page(page_of(grounded(sources=[{"title": "x", "uri": address}])))
        assert [a["href"] for a in page.of("a")] == ([address] if is_link(address) else [])


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("https://example.org/a?b=1&c=2", True),
        ("HTTP://EXAMPLE.ORG", True),
        ("javascript:alert(1)", False),
        ("java\nscript:alert(1)", False),
        ("data:text/html,<script>", False),
        ("//example.org", False),
        ("https://", False),
        ("https:///path", False),
        ("file:///etc/passwd", False),
        ("https://[", False),
        ("https://exa mple.org", False),
        ("", False),
    ],
)
def test_only_addresses_of_pages_are_links(uri: str, *, expected: bool) -> None:
    assert is_link(uri) is expected


def test_suggestions_stand_as_delivered_in_a_frame_of_their_own() -> None:
    delivered = (
        '<style>.chip{color:"red"}</style>\n<a class="chip" href="https://g.co/">x &amp; y</a>'
    )
    page = check_page(page_of(grounded(entry_point=delivered)))
    (frame,) = page.of("iframe")
    assert frame["sandbox"] == SANDBOX
    content = str(frame["srcdoc"])
    assert content.endswith(delivered)
    assert '<base target="_blank">' in content
    assert "chip" not in "".join(page.text_of("style"))
    assert "iframe" not in [tag for tag, _ in Page(page_of(a_record())).elements]


def test_a_picture_found_by_search_is_one_click_from_its_page() -> None:
    source = {"uri": "https://example.org/page", "image_uri": "https://cdn.example.org/x.jpg"}
    page = check_page(page_of(grounded(sources=[{**source, "title": "T", "domain": "D"}])))
    assert [a["href"] for a in page.of("a")] == ["https://example.org/page"]
    assert "D" in page.text_of("bdi")


def test_a_cell_tells_what_was_made() -> None:
    record = a_record(verdict=Verdict.DOWNGRADED, warnings=("Smaller than asked.",))
    page = check_page(page_of(record))
    told = " ".join(page.text_of("dd"))
    for words in ("5504x3072 smaller than asked", "gemini-3-pro-image", "$0.24", "2026-11-01"):
        assert words in told
    assert record.id[:8] in told
    assert "Smaller than asked." in page.text_of("p")
    assert page.text_of("span") == []
    assert Page(page_of(replace(record, simulated=True))).text_of("span") == ["simulated"]


@given(st.lists(st.tuples(st.integers(0, 10**6), st.booleans(), st.booleans())))
def test_real_and_simulated_money_never_mix(made: list[tuple[int, bool, bool]]) -> None:
    records = [
        a_record(n, cost=cost, simulated=simulated, images=a_record(n).images if kept else ())
        for n, (cost, simulated, kept) in enumerate(made)
    ]
    sums = totals(records)
    assert (sums.calls, sums.pictures) == (len(made), sum(kept for *_, kept in made))
    assert sums.real == (
        sum(c for c, s, _ in made if not s) if not all(m[1] for m in made) else None
    )
    simulated = [c for c, s, _ in made if s]
    assert sums.simulated == (sum(simulated) if simulated else None)
    assert ("no money" in str(sums)) is bool(simulated)


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["queries", "image_queries", "sources", "entry_point", "other"]), JSON
    )
)
def test_odd_facts_are_left_out(facts: dict[str, Any]) -> None:
    record = a_record(grounding=facts)
    found = grounding_of(record)
    assert found != Grounding()
    check_page(page_of(record))


# ---------------------------------------------------------------- files


RULES = Rules(
    zone=ZoneInfo("UTC"),
    key_life=timedelta(hours=72),
    retry_unknown=False,
    spend_limit=None,
    twins="off",
    twin_life=timedelta(days=1),
)


class Shelf:
    """Originals in a folder, and an imager in this process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder
        self.blobs: Blobs = LocalBlobs(folder / "originals")
        self.imager: Imager = DirectImager()
        books = MemoryBooks()
        self.books: Books = books
        self.journal: Journal = MemoryJournal(books)
        self.cabinet: Cabinet = MemoryCabinet()
        self.lease = Lease(folder)
        self.rules = RULES

    async def keep(self, number: int, data: bytes, **changes: Any) -> Record:
        record = a_record(number, **changes)
        kept = record.result
        assert kept is not None
        await self.blobs.put(saved(self.folder / f"{number}.jpg", data), kept.key)
        return record


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Shelf]:
    (tmp_path / "library").mkdir()
    opened = Shelf(tmp_path / "library")
    yield opened
    opened.lease.close()
    assert not list(tmp_path.rglob(".heliograph-*"))


@pytest.fixture(scope="module")
def picture() -> bytes:
    return encoded(natural(640, 360), "jpeg", quality=90)


async def test_a_page_and_a_picture(shelf: Shelf, picture: bytes, tmp_path: Path) -> None:
    records = [await shelf.keep(n, picture, prompt=f"Picture {n}") for n in (1, 2, 3)]
    layout = Layout(title="Three", columns=2)
    made = await make_sheet([*records, records[0]], tmp_path / "out" / "three", layout, shelf)
    assert made.html == tmp_path / "out" / "three.html"
    assert made.png == tmp_path / "out" / "three.png"
    page = check_page(bytes_of(made.html).decode())
    assert [a["alt"] for a in page.of("img")] == ["Picture 1", "Picture 2", "Picture 3"]
    assert {(a["width"], a["height"]) for a in page.of("img")} == {("512", "288")}
    with Image.open(made.png) as sheet:
        assert sheet.format == "PNG"
        assert sheet.width > 2 * 300
        assert sheet.height > sheet.width / 2


async def test_what_cannot_be_shown_says_so(shelf: Shelf, picture: bytes, tmp_path: Path) -> None:
    whole = await shelf.keep(1, picture)
    broken = await shelf.keep(2, picture[:300])
    missing = a_record(3)
    refused = a_record(4, images=(), outcome=Outcome.REFUSED, verdict=None, cost=1200)
    made = await make_sheet([whole, broken, missing, refused], f"{tmp_path}/", Layout(), shelf)
    assert made.html == tmp_path / "contact-sheet.html"
    page = check_page(bytes_of(made.html).decode())
    assert len(page.of("img")) == 1
    told = " ".join(page.text_of("p"))
    for words in ("cannot be shown", "The original is missing.", "The answer held no picture."):
        assert words in told
    assert "3 pictures · 4 calls · cost $0.7212" in told
    assert made.png is not None
    assert made.png.exists()


@pytest.mark.parametrize("taken", ["sheet.html", "sheet.png"])
async def test_nothing_is_written_over(
    shelf: Shelf, picture: bytes, tmp_path: Path, taken: str
) -> None:
    record = await shelf.keep(1, picture)
    (tmp_path / taken).write_text("mine")
    with pytest.raises(WouldOverwrite, match="nothing was written"):
        await make_sheet([record], tmp_path / "sheet.html", Layout(), shelf)
    assert (tmp_path / taken).read_text() == "mine"
    assert [name for name in files_in(tmp_path) if name.startswith("sheet.")] == [taken]
    other = Layout(png=taken == "sheet.html", html=taken == "sheet.png")
    await make_sheet([record], tmp_path / "sheet", other, shelf)
    assert (tmp_path / taken).read_text() == "mine"
    made = await make_sheet([record], tmp_path / "sheet", Layout(force=True), shelf)
    assert made.html == tmp_path / "sheet.html"
    assert (tmp_path / taken).read_bytes() != b"mine"


async def test_a_sheet_that_makes_no_sense_is_refused(shelf: Shelf, tmp_path: Path) -> None:
    record = a_record()
    with pytest.raises(RecordNotFound):
        await make_sheet([], tmp_path / "a", Layout(), shelf)
    for name, layout in {
        "columns": Layout(columns=0),
        "html": Layout(html=False, png=False),
        "output": Layout(),
    }.items():
        with pytest.raises(InvalidRequest) as caught:
            await make_sheet([record], tmp_path / "a.pdf", layout, shelf)
        assert [p.field for p in caught.value.problems] == [name]
    many = [a_record(n) for n in range(MOST + 1)]
    with pytest.raises(InvalidRequest, match="too many"):
        await make_sheet(many, tmp_path / "a", Layout(), shelf)
    for name in ("a\0b", "x" * 300):
        with pytest.raises(StorageError):
            await make_sheet([record], tmp_path / name, Layout(png=False), shelf)
    assert files_in(tmp_path) == ["library"]
