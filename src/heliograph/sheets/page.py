"""The page of a contact sheet: one file without script that asks for nothing from outside. Pure.

Google requires that the search suggestions of a grounded picture are shown with it
(gemini-api.md section 2.5). They are foreign HTML, so each stands as delivered in a frame of its
own that may open links, and no more.
Invariant: no text of a prompt, a source or a suggestion becomes markup of the page.
"""

import base64
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from html import escape
from urllib.parse import urlsplit

from heliograph.money import dollars
from heliograph.sheets.entry import (
    Entry,
    clean,
    grounding_of,
    one_line,
    short,
    state,
    totals,
    when,
)
from heliograph.types import Grounding, Record

ID = 12  # characters of an id; commands take the beginning of one

# what a frame needs around the suggestions: its links open a page of their own, and it is as dark
# as the page is; what was delivered follows untouched
_FRAME_HEAD = (
    '<!doctype html><meta charset="utf-8"><base target="_blank">'
    '<meta name="color-scheme" content="light dark"><style>body{margin:0}</style>'
)
# the frames inherit it, and need their own styles
_POLICY = (
    "default-src 'none'; img-src data:; style-src 'unsafe-inline'; base-uri 'none'; "
    "form-action 'none'"
)
_STYLE = """
:root{color-scheme:light dark;--paper:#fbfaf8;--card:#fff;--ink:#1d1c1a;--soft:#66625c;
--line:#e2ded8;--link:#1a5fb4;--mark:#8a4b00;--field:#efece7}
@media (prefers-color-scheme:dark){:root{--paper:#171614;--card:#211f1d;--ink:#eeebe6;
--soft:#a8a29a;--line:#383531;--link:#8ab8f5;--mark:#f0b35c;--field:#2b2926}}
*{box-sizing:border-box}
body{margin:0;padding:1.5rem clamp(1rem,3vw,3rem);background:var(--paper);color:var(--ink);
font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans",sans-serif}
header{margin-bottom:1.5rem}
h1{margin:0 0 .25rem;font-size:1.6rem;line-height:1.2;overflow-wrap:anywhere}
header p{margin:0;color:var(--soft)}
main{display:grid;gap:1.25rem;align-items:start;
grid-template-columns:repeat(auto-fill,minmax(min(100%,max(15rem,WIDTH)),1fr))}
article{background:var(--card);border:1px solid var(--line);border-radius:10px;overflow:hidden}
figure{position:relative;margin:0;background:var(--field)}
img{display:block;width:100%;height:auto}
.missing{margin:0;padding:3rem 1rem;text-align:center;color:var(--soft)}
.badge{position:absolute;top:.6rem;left:.6rem;padding:.1rem .5rem;border-radius:4px;
background:rgb(0 0 0/.72);color:#fff;font-size:.75rem;letter-spacing:.02em}
.text{padding:.8rem 1rem 1rem}
.prompt{margin:0 0 .6rem;max-height:13em;overflow:auto;white-space:pre-wrap;
overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:auto 1fr;gap:.1rem .7rem;margin:0;font-size:.85rem}
dt{color:var(--soft)}
dd{margin:0;overflow-wrap:anywhere;font-variant-numeric:tabular-nums}
.warning{margin:.6rem 0 0;font-size:.85rem;color:var(--mark);overflow-wrap:anywhere}
section{margin-top:.8rem;padding-top:.7rem;border-top:1px solid var(--line);font-size:.85rem}
h2{margin:0 0 .3rem;font-size:.85rem}
section p,section ol{margin:.35rem 0 0}
section ol{padding-left:1.3rem}
section li,section p{overflow-wrap:anywhere}
a{color:var(--link)}
.domain{color:var(--soft)}
iframe{display:block;width:100%;height:4.5rem;margin-top:.5rem;border:1px solid var(--line);
border-radius:8px;resize:vertical;background:transparent}
@media print{:root{color-scheme:light;--paper:#fff;--card:#fff;--ink:#000;--soft:#444;
--line:#bbb;--link:#000;--mark:#000;--field:#fff}
body{padding:0;font-size:9pt}
main{gap:.6rem;grid-template-columns:repeat(PRINTED,1fr)}
article{break-inside:avoid}
.text{padding:.5rem .6rem .6rem}
.prompt{max-height:none}
.badge{border:1px solid #000;background:#fff;color:#000}}
"""


def html(entries: Sequence[Entry], *, title: str, columns: int, made: datetime) -> str:
    """The page: one file that needs nothing else. Pure.

    Args:
        columns: at most; a narrow window has fewer.
        made: when, to be printed on it; UTC.
    """
    sums = totals([entry.record for entry in entries])
    # the gaps between the columns are no part of them
    style = _STYLE.replace("WIDTH", f"calc(100%/{columns} - 1.25rem)")
    style = style.replace("PRINTED", str(min(columns, 3)))
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en">',
            "<head>",
            '<meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{_text(_POLICY)}">',
            '<meta name="referrer" content="no-referrer">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            '<meta name="generator" content="Heliograph">',
            f"<title>{_text(one_line(title))}</title>",
            f"<style>{style}</style>",
            "</head>",
            "<body>",
            f'<header><h1 dir="auto">{_text(one_line(title))}</h1>',
            f"<p>{_text(str(sums))} · made {when(made)}</p></header>",
            "<main>",
            *(_article(entry) for entry in entries),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def _article(entry: Entry) -> str:
    return "\n".join(["<article>", *_article_lines(entry), "</article>"])


def _article_lines(entry: Entry) -> Iterator[str]:
    record = entry.record
    yield "<figure>"
    if entry.thumbnail:
        small = entry.thumbnail.pixels
        data = base64.b64encode(entry.thumbnail.data).decode()
        yield (
            f'<img width="{small.width}" height="{small.height}" '
            f'alt="{_text(short(record.prompt))}" src="data:image/webp;base64,{data}">'
        )
    else:
        yield f'<p class="missing">{_text(entry.missing or "There is no picture.")}</p>'
    if record.simulated:
        yield '<span class="badge">simulated</span>'
    yield '</figure>\n<div class="text">'
    yield f'<p class="prompt" dir="auto">{_text(record.prompt)}</p>'
    yield "<dl>"
    for name, value in _facts(record):
        yield f"<dt>{name}</dt><dd>{_text(value)}</dd>"
    yield f'<dt>Record</dt><dd title="{_text(record.id)}">{_text(record.id[:ID])}</dd>\n</dl>'
    for warning in record.warnings:
        yield f'<p class="warning">{_text(warning)}</p>'
    grounding = grounding_of(record)
    if grounding is not None:
        yield from _search(grounding)
    yield "</div>"


def _facts(record: Record) -> Iterator[tuple[str, str]]:
    yield "Pixels", state(record)
    yield "Model", record.model
    yield "Cost", dollars(record.cost) + (", simulated" if record.simulated else "")
    yield "Made", when(record.created)


def _search(grounding: Grounding) -> Iterator[str]:
    """What a picture rests on: suggestions as delivered, queries, sources."""
    yield "<section>\n<h2>Grounded on Google Search</h2>"
    if grounding.entry_point is not None:
        content = _text(_FRAME_HEAD + grounding.entry_point)
        yield (
            '<iframe sandbox="allow-popups allow-popups-to-escape-sandbox" '
            f'referrerpolicy="no-referrer" title="Google Search suggestions" srcdoc="{content}">'
            "</iframe>"
        )
    queries = (*grounding.queries, *grounding.image_queries)
    if queries:
        words = ", ".join(f"<q><bdi>{_text(query)}</bdi></q>" for query in queries)
        yield f"<p>Searched for {words}</p>"
    if grounding.sources:
        yield "<p>Sources</p>\n<ol>"
        for source in grounding.sources:
            yield f"<li>{_source(source)}</li>"
        yield "</ol>"
    yield "</section>"


def _source(source: Mapping[str, str]) -> str:
    """A link to the page that a source is or, for a picture, stands on: one click."""
    uri, domain = source.get("uri", ""), source.get("domain", "")
    name = one_line(source.get("title", "")) or one_line(uri) or "without a name"
    shown = f"<bdi>{_text(name)}</bdi>"
    if is_link(uri):
        shown = f'<a href="{_text(uri)}" rel="noreferrer noopener" target="_blank">{shown}</a>'
    if domain and one_line(domain) != name:
        shown += f' <span class="domain"><bdi>{_text(one_line(domain))}</bdi></span>'
    return shown


def is_link(uri: str) -> bool:
    """Whether an address of foreign origin may be made a link: http and https only."""
    if not uri.isprintable() or " " in uri:
        return False
    try:
        parts = urlsplit(uri)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.hostname)


def _text(text: str) -> str:
    return escape(clean(text))
