"""The committed reference pages are what the facts say, and the public names are exact."""

from pathlib import Path

from heliograph import planning
from heliograph.planning.reference import main, reference_models, reference_uses

DOCS = Path(__file__).parents[2] / "docs" / "reference"
REMEDY = "run: python -m heliograph.planning.reference docs/reference"


def test_pages_are_up_to_date(tmp_path: Path) -> None:
    assert (DOCS / "models.md").read_text(encoding="utf-8") == reference_models(), REMEDY
    assert (DOCS / "uses.md").read_text(encoding="utf-8") == reference_uses(), REMEDY
    main(tmp_path / "new")
    assert (tmp_path / "new" / "uses.md").read_text(encoding="utf-8") == reference_uses()


def test_public_names() -> None:
    assert planning.__all__ == [
        "CONTEXT_LOST",
        "DEFAULT_MODEL",
        "DEFAULT_SIZE",
        "Catalogue",
        "CatalogueError",
        "Model",
        "Offer",
        "PriceRow",
        "Use",
        "Uses",
        "catalogue",
        "estimate",
        "offers",
        "plan",
        "uses",
    ]
    assert all(hasattr(planning, name) for name in planning.__all__)
