"""Contact sheets: many kept pictures on one page of HTML and in one PNG.

Invariant: what is shown of a picture is what its record says; nothing is called or paid for.
"""

from heliograph.sheets.entry import Entry, Thumbnail, Totals, grounding_of, one_line, totals
from heliograph.sheets.make import MOST, MOST_COLUMNS, Layout, Sheet, make_sheet
from heliograph.sheets.page import html, is_link

__all__ = [
    "MOST",
    "MOST_COLUMNS",
    "Entry",
    "Layout",
    "Sheet",
    "Thumbnail",
    "Totals",
    "grounding_of",
    "html",
    "is_link",
    "make_sheet",
    "one_line",
    "totals",
]
