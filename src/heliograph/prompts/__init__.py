"""Prompts: in sections, from templates, with wildcards, and checked before they are sent.

    Collection       prompts and word lists by name: those that come along, and the user's own
    Template         a prompt with named, typed places; Structured: its sections
    parse, expand    wildcards: one text that stands for many; also count, every
    lint             what is probably not meant, each with a remedy

Invariant: nothing here sends anything or changes a text that it was not asked to expand; files are
read, and written only by `Collection.save`.
"""

from heliograph.prompts.collection import Collection, matches
from heliograph.prompts.lint import Asked, Concern, lint
from heliograph.prompts.reading import is_document, read_document
from heliograph.prompts.structured import SECTIONS, Structured, read_structured
from heliograph.prompts.template import Template, Variable, places, read_template
from heliograph.prompts.wildcard import Steps, count, escape, every, expand, looks_wild, parse

__all__ = [
    "SECTIONS",
    "Asked",
    "Collection",
    "Concern",
    "Steps",
    "Structured",
    "Template",
    "Variable",
    "count",
    "escape",
    "every",
    "expand",
    "is_document",
    "lint",
    "looks_wild",
    "matches",
    "parse",
    "places",
    "read_document",
    "read_structured",
    "read_template",
]
