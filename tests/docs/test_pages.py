"""Links lead somewhere, pictures are small pictures, and numbers in the README are so."""

import re
from fractions import Fraction
from importlib.metadata import distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from tests.docs.fenced import ROOT, anchors, links, pages

from heliograph.cli.generate import MOST_VARIATIONS, SIDE_BY_SIDE
from heliograph.errors import Refused, SizeMismatch
from heliograph.imaging import read_header
from heliograph.money import dollars
from heliograph.pipeline import LEAST_FREE
from heliograph.planning import DEFAULT_MODEL, catalogue, estimate
from heliograph.planning.cover import PRINT_STRETCH
from heliograph.planning.reference import reference_models
from heliograph.settings import Settings

README = (ROOT / "README.md").read_text(encoding="utf-8")
PICTURES = sorted((ROOT / "docs" / "pictures").iterdir())
ALSO_LINKED = [ROOT / "CHANGELOG.md", ROOT / "CONTRIBUTING.md"]
INSTALLED_WITH_EVERY_PYTHON = {"pip", "setuptools", "wheel"}


def _lead_nowhere(page: Path) -> list[str]:
    lost = []
    for link in links(page):
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            lost.append(link)
    return lost


@pytest.mark.parametrize(
    "page", [*pages(), *ALSO_LINKED], ids=lambda p: p.relative_to(ROOT).as_posix()
)
def test_every_relative_link_leads_somewhere(page: Path) -> None:
    assert _lead_nowhere(page) == []


def test_every_page_can_be_reached() -> None:
    reached, waiting = set[Path](), [ROOT / "README.md"]
    while waiting:
        page = waiting.pop()
        if page.suffix == ".md" and page not in reached:
            reached.add(page)
            found = (link.partition("#")[0] for link in links(page) if ":" not in link)
            waiting += [(page.parent / name).resolve() for name in found if name]
    assert [p for p in (ROOT / "docs").rglob("*.md") if p not in reached] == []


def test_pictures_are_small_and_used() -> None:
    used = {(page.parent / link).resolve() for page in pages() for link in links(page)}
    assert len(PICTURES) >= 7
    for picture in PICTURES:
        header = read_header(picture)
        assert header.format == "webp", picture
        assert max(header.pixels.width, header.pixels.height) == 640, picture
        assert picture.stat().st_size <= 60_000, picture
        assert picture in used, picture


def test_readme_prices() -> None:
    row = estimate(DEFAULT_MODEL, "4K")
    assert f"One 4K image on `{DEFAULT_MODEL}` is {dollars(row.low)}," in README
    assert 4_000 < row.expected - row.low < 6_000  # "about half a cent more"


def test_readme_tolerance_and_exit_codes() -> None:
    assert {model.can.tolerance for model in catalogue().live} == {0.03}
    assert "within 3 % a side" in README
    assert (SizeMismatch.exit_code, Refused.exit_code) == (8, 6)


def test_named_limits_are_the_settings() -> None:
    told = (ROOT / "docs/explanation/how-a-request-travels.md").read_text(encoding="utf-8")
    assert "patience of ten minutes" in told
    assert Settings.model_fields["patience"].default == 600
    assert Settings.model_fields["secrets_dir"].default == Path("/run/secrets")
    assert "14" in reference_models()


def test_limits_of_a_command_are_those_of_the_code() -> None:
    shell = (ROOT / "docs/how-to/in-the-shell.md").read_text(encoding="utf-8")
    assert (SIDE_BY_SIDE, MOST_VARIATIONS) == (8, 100)
    assert "at most eight at a time and 100 in all" in shell
    sizes = (ROOT / "docs/how-to/exact-sizes-and-print.md").read_text(encoding="utf-8")
    assert Fraction(105, 100) == PRINT_STRETCH
    assert "enlarged by 5 % at most" in sizes
    tutorial = (ROOT / "docs/tutorial/first-picture.md").read_text(encoding="utf-8")
    times = catalogue().models[DEFAULT_MODEL].seconds
    assert times is not None
    assert f"{times.typical} to {times.slow} seconds" in tutorial
    recover = (ROOT / "docs/how-to/recover-and-rebuild.md").read_text(encoding="utf-8")
    assert f"less than {LEAST_FREE >> 20} MiB free" in recover


def test_readme_install_size() -> None:
    """The disk shows more than the files hold: compiled modules and whole blocks come on top."""
    found = re.search(r"takes about (\d+) MB on disk", README)
    assert found is not None
    told = int(found[1])
    held = sum(_size(name) for name in _needed("heliograph")) / 2**20
    assert held < told < held * 1.6
    assert told < 250


def _needed(name: str, known: frozenset[str] = frozenset()) -> frozenset[str]:
    """A distribution and all that its default install brings along."""
    if name in known or name in INSTALLED_WITH_EVERY_PYTHON:
        return known
    known |= {name}
    for line in distribution(name).requires or ():
        requirement = Requirement(line)
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            known = _needed(requirement.name.lower(), known)
    return known


def _size(name: str) -> int:
    files = (Path(str(file.locate())) for file in distribution(name).files or ())
    return sum(file.stat().st_size for file in files if file.is_file())
