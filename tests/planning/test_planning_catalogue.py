"""The packaged facts are whole, and a file that is not is refused by name."""

from importlib.resources import files

import pytest

from heliograph.planning import Catalogue, CatalogueError, catalogue, uses
from heliograph.planning.load import load
from heliograph.planning.uses import load_uses
from heliograph.types import Pixels

FOLDER = files("heliograph.planning")
MODELS = FOLDER.joinpath("models.toml").read_text(encoding="utf-8")
PRICES = FOLDER.joinpath("prices.toml").read_text(encoding="utf-8")
USES = FOLDER.joinpath("uses.toml").read_text(encoding="utf-8")


def without(text: str, start: str, end: str) -> str:
    """`text` less what stands from `start` up to `end`."""
    head, _, rest = text.partition(start)
    assert rest, f"{start!r} is not in the file"
    return head + end + rest.partition(end)[2]


def test_models_live_today() -> None:
    assert [m.id for m in catalogue().live] == [
        "gemini-3-pro-image",
        "gemini-nano-banana-2.1",
        "gemini-3.1-flash-lite-image",
    ]


@pytest.mark.parametrize(
    ("model", "shut_down", "replacement"),
    [
        ("gemini-3-pro-image-preview", "2026-06-25", "gemini-3-pro-image"),
        ("gemini-3.1-flash-image", "2026-10-29", "gemini-nano-banana-2.1"),
        ("gemini-3.1-flash-image-preview", "2026-06-25", "gemini-nano-banana-2.1"),
        ("gemini-2.5-flash-image", "2026-10-02", "gemini-3.1-flash-lite-image"),
        ("gemini-2.5-flash-image-preview", "2026-01-15", "gemini-3.1-flash-lite-image"),
        ("imagen-4.0-generate-001", "2026-08-17", "gemini-nano-banana-2.1"),
        ("imagen-4.0-ultra-generate-001", "2026-08-17", "gemini-3-pro-image"),
        ("imagen-4.0-fast-generate-001", "2026-08-17", "gemini-3.1-flash-lite-image"),
    ],
)
def test_retired_models_stay_known(model: str, shut_down: str, replacement: str) -> None:
    row = catalogue().models[model]
    assert (row.status, str(row.shut_down), row.replacement) == ("retired", shut_down, replacement)
    assert catalogue().price(model) is not None


@pytest.mark.parametrize(
    ("model", "size", "ratio", "pixels"),
    [
        ("gemini-3-pro-image", "1K", "1:1", (1024, 1024)),
        ("gemini-3-pro-image", "4K", "1:1", (4096, 4096)),
        ("gemini-3-pro-image", "4K", "16:9", (5504, 3072)),
        ("gemini-3-pro-image", "2K", "9:16", (1536, 2752)),
        ("gemini-3-pro-image", "4K", "21:9", (6336, 2688)),
        ("gemini-3-pro-image", "4K", "2:3", (3392, 5056)),
        ("gemini-3-pro-image", "1K", "5:4", (1152, 928)),
        ("gemini-nano-banana-2.1", "1K", "1:4", (512, 2064)),
        ("gemini-nano-banana-2.1", "2K", "4:1", (4128, 1024)),
        ("gemini-nano-banana-2.1", "4K", "8:1", (11712, 1408)),
        ("gemini-nano-banana-2.1", "4K", "1:8", (1408, 11712)),
        ("gemini-3.1-flash-lite-image", "1K", "3:2", (1264, 848)),
        ("gemini-3.1-flash-image", "512", "21:9", (792, 336)),
        ("gemini-3.1-flash-image", "512", "4:1", (1024, 256)),  # documented: none was measured
        ("gemini-2.5-flash-image", "1K", "16:9", (1344, 768)),
    ],
)
def test_pixels(model: str, size: str, ratio: str, pixels: tuple[int, int]) -> None:
    facts = catalogue()
    assert facts.expected(facts.models[model], size, ratio) == Pixels(*pixels)


def test_both_pixel_tables_are_kept() -> None:
    table = catalogue().pixels["gemini-3"]
    assert table.documented.px["8:1"]["4K"] == Pixels(12288, 1536)
    assert table.measured is not None
    assert table.measured.px["8:1"]["4K"] == Pixels(11712, 1408)


def test_price_rows_are_dated_and_found_by_version() -> None:
    row = catalogue().price("gemini-3-pro-image")
    assert row is not None
    assert row.version == "gemini-3-pro-image@2026-11-22"
    assert catalogue().price_row(row.version) is row
    assert catalogue().price_row("gemini-3-pro-image@1999-01-01") is None
    assert set(row.tiers) == {"standard", "flex", "priority", "batch"}


def test_the_newest_price_counts_and_old_ones_stay() -> None:
    newer = (
        PRICES
        + PRICES.partition("[[price]]")[1]
        + PRICES.split("[[price]]")[1]
        .replace("2026-11-22", "2026-12-01")
        .replace("120_000_000", "110_000_000")
    )
    facts = load(MODELS, newer)
    row = facts.price("gemini-3-pro-image")
    assert row is not None
    assert row.version == "gemini-3-pro-image@2026-12-01"
    old = facts.price_row("gemini-3-pro-image@2026-11-22")
    assert old is not None
    assert old.tiers["standard"].image == 120_000_000


def test_facts_cannot_be_changed() -> None:
    with pytest.raises(TypeError):
        catalogue().models["x"] = catalogue().live[0]  # type: ignore[index]
    assert catalogue() is catalogue()


PRO_PRICE = ('[[price]]\nmodel = "gemini-3-pro-image"\n', "# Flex and priority")


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('name = "Nano Banana Pro"\n', 'name = "x"\ncolour = "red"\n', "unknown keys: colour"),
        ('released = "2026-10-06"\n', "", "lacks released"),
        ("[5504, 3072]", "[5500, 3072]", "not a multiple of 8"),
        ("[5504, 3072]", "[5504]", "no [width, height]"),
        ("2K = [2752, 1536], ", "", "no pixels for 2K 16:9"),
        ('replacement = "gemini-3-pro-image"', 'replacement = "imagen-4.0-fast-generate-001"',
         "which is not live"),
        ("shut_down = 2026-06-25\n", "", "retired without a shutdown date"),
        ('status = "live"\n', 'status = "asleep"\n', "status = 'asleep'"),
        ("references = 14\n", "references = 14.0\n", "references = 14.0"),
        ("system = true\n", "system = 1\n", "system = 1"),
        ('default_size = "1K"\n', 'default_size = "3K"\n', "its default '3K'"),
        ("image = { 1K = 1120, 2K = 1120, 4K = 2000 }", "image = { 1K = 1120, 2K = 1120 }",
         "no image tokens for 4K"),
        ("input_image = 560\n", "", "lacks the tokens of an input image"),
        ('sizes = ["1K", "2K", "4K"]', 'sizes = ["2K", "1K", "4K"]', "not listed smallest first"),
        ('thinking_default = "medium"', 'thinking_default = "deep"', "no level of it"),
        ('pixels = "gemini-3"\nref', 'pixels = "gemini-9"\nref', "no pixel table 'gemini-9'"),
        ('status = "live"\n', 'status = "live"\nshut_down = 2026-11-22\n', "and was shut down"),
        ('status = "live"\n', 'status = "live"\nreplacement = "x"\n', "and has a replacement"),
        ('output = "image/jpeg"\n', "", "lacks ratios, input types or its output type"),
        ("system = true\n", "system = true\ntolerance = 0.5\n", "tolerance 0.5 is outside"),
        ("[tiers.flex]", "[tiers.slow]", "prices 'flex', which is no service tier"),
        ("[limits]\n", "[limits]\n[models]\nx = 3\n[limits2]\n", "models.x must be a table"),
        ("batch = true\n", "batch = false\n", "batch ability and batch price disagree"),
        ('same_as = "gemini-3-pro-image"', 'same_as = "nothing"', "same_as names 'nothing'"),
        ('confidence = "H"', 'confidence = "sure"', "confidence = 'sure'"),
        ("checked = 2026-11-22", 'checked = "2026-11-22"', "checked = '2026-11-22'"),
        ("[limits]", "[limits", "models.toml: "),
    ],
)  # fmt: skip
def test_models_file_is_refused(old: str, new: str, complaint: str) -> None:
    assert old in MODELS
    with pytest.raises(CatalogueError) as caught:
        load(MODELS.replace(old, new, 1), PRICES)
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("input = 2_000_000", "input = 2.0", "input = 2.0"),
        ("input = 2_000_000", "input = true", "input = True"),
        ("input = 2_000_000", "input = -1", "is negative"),
        ("query_micro = 14_000", "query_micro = 0.014", "query_micro = 0.014"),
        ("query_micro = 14_000\n", "", "no price per query"),
        ("free_queries = 5_000", "free_queries = -1", "queries are negative"),
        ("tiers.flex", "tiers.fast", "'fast', which is no service tier"),
        ('model = "gemini-3-pro-image"', 'model = "gemini-9"', "'gemini-9', which is unknown"),
        ('model = "gemini-nano-banana-2.1"', 'model = "gemini-3-pro-image"', "is there 2 times"),
        ("[[price]]", "[[prices]]", "unknown keys: prices"),
    ],
)
def test_prices_file_is_refused(old: str, new: str, complaint: str) -> None:
    assert old in PRICES
    with pytest.raises(CatalogueError) as caught:
        load(MODELS, PRICES.replace(old, new, 1))
    assert complaint in str(caught.value)


def test_a_live_model_needs_a_price() -> None:
    with pytest.raises(CatalogueError, match="gemini-3-pro-image is live without a standard price"):
        load(MODELS, without(PRICES, *PRO_PRICE))


def test_contradictions_are_reported_together() -> None:
    broken = MODELS.replace("[5504, 3072]", "[5500, 3072]").replace("input_image = 560\n", "")
    with pytest.raises(CatalogueError, match=r"multiple of 8.*input image"):
        load(broken, PRICES)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ('name = "a4"', 'name = "a5"', "'a5' is there twice"),
        ("mm = [210, 297]\n", "", "exactly one of pixels, mm, inches"),
        ("mm = [210, 297]", "mm = [210.0, 297]", "no [width, height]"),
        ('inches = ["8.5", "11"]', 'inches = ["8.5"]', "inches are two sides"),
        ('inches = ["8.5", "11"]', 'inches = ["8,5", "11"]', "decimals as text"),
        ("quality = 90", 'quality = "good"', "quality = 'good'"),
    ],
)
def test_uses_file_is_refused(old: str, new: str, complaint: str) -> None:
    assert old in USES
    with pytest.raises(CatalogueError) as caught:
        load_uses(USES.replace(old, new, 1))
    assert complaint in str(caught.value)


def test_every_fact_has_source_and_confidence() -> None:
    facts: Catalogue = catalogue()
    groups = [g for m in facts.models.values() for g in (m, m.can, m.tokens)]
    for fact in (*groups, *facts.prices, *facts.tiers.values(), *uses().use):
        assert fact.source
        assert fact.confidence in ("H", "M", "L")
        assert str(fact.checked) == "2026-11-22"
