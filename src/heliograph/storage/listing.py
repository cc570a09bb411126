"""What a search over records means, the same for all implementations of the books.

Invariant: words and prompts are compared in one form that every engine can hold, and tags whole
and exactly, so that all implementations find the same records.
"""

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from heliograph.errors import InvalidRequest, Problem
from heliograph.ports import Search
from heliograph.storage.lookup import check_moment
from heliograph.types import Record

# Postgres takes no NUL and neither engine lone surrogates, but an upstream may send both
UNSTORABLE = re.compile("[\x00\x1a\ud800-\udfff]")
REPLACED = "\ufffd"
MAX_WORDS = 50  # of a search; SQLite refuses more than about a thousand conditions
MAX_LENGTH = 2000  # characters of all words; SQLite refuses patterns above 50,000 bytes
MAX_TAGS = 50  # of a search
FACETS: Mapping[str, str] = {
    "model": "models",
    "size": "sizes",
    "verdict": "verdicts",
    "outcome": "outcomes",
}

Shape = tuple[str, str | None, str | None, str]  # model, size, verdict and outcome of a record


def fold(text: str) -> str:
    """Text as words are looked for in it: without case, and without what cannot be stored."""
    return UNSTORABLE.sub(REPLACED, text).casefold()


def words_of(search: Search) -> tuple[str, ...]:
    """The folded words that must stand in the prompt, each once."""
    return tuple(dict.fromkeys(fold(search.words or "").split()))


def tags_of(record: Record) -> frozenset[str]:
    """The tags that a record was asked with."""
    return tags_in(record.request)


def tags_in(request: Mapping[str, Any]) -> frozenset[str]:
    """The tags in the facts of a request; what is no text is no tag."""
    found = request.get("tags")
    kept = found if isinstance(found, list | tuple) else ()
    return frozenset(tag for tag in kept if isinstance(tag, str))


def tag_text(tags: Iterable[str]) -> str:
    """Tags as one text of lines, in which `tag_text([tag])` stands for each of them.

    JSON has no line break inside a text, so no part of one tag looks like another.
    """
    lines = [json.dumps(tag) for tag in sorted(tags)]
    # each line break twice, because neighbours share none
    return "".join(f"\n{line}\n" for line in lines)


def check_search(search: Search) -> None:
    """Refuse what no engine, or no person, would search for.

    Raises:
        ValueError: a time has no zone.
        InvalidRequest: there are too many words or tags.
    """
    for moment in (search.since, search.until, search.before and search.before[0]):
        if moment is not None:
            check_moment(moment)
    problems = []
    words = words_of(search)
    if len(words) > MAX_WORDS or sum(map(len, words)) > MAX_LENGTH:
        message = f"has more than {MAX_WORDS} words or {MAX_LENGTH} characters"
        problems.append(Problem(field="words", value=f"{len(words)} words", message=message))
    if len(search.tags) > MAX_TAGS:
        message = f"are more than {MAX_TAGS}"
        problems.append(Problem(field="tags", value=f"{len(search.tags)} tags", message=message))
    if problems:
        raise InvalidRequest(problems, remedy="Search for less at once.")


def count_facets(shapes: Mapping[Shape, int], search: Search) -> Mapping[str, Mapping[str, int]]:
    """How many records there are of each value, as if nothing were chosen in its own facet.

    Args:
        shapes: how many records of each shape fit all else that is searched for.

    What has no size or no verdict counts in the other facets alone. Values are sorted.
    """
    chosen = [getattr(search, name) for name in FACETS.values()]
    counts = []
    for place in range(len(FACETS)):
        others = [(n, values) for n, values in enumerate(chosen) if values and n != place]
        count: Counter[str] = Counter()
        for shape, number in shapes.items():
            value = shape[place]
            if value is not None and all(shape[n] in values for n, values in others):
                count[value] += number
        counts.append(dict(sorted(count.items())))
    return dict(zip(FACETS, counts, strict=True))
