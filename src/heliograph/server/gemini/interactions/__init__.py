"""The Interactions API of the Gemini face: create, get, cancel, delete.

    routes      the methods, and what of an interaction is a job and what a record
    reading     a create call as the message of generateContent that asks for the same
    telling     a job and its record as an interaction
    envelope    errors: `{"error": {"code": "a word", "message"}}`

Sources: gemini-api.md 2.10 and `_gaos` of google-genai 3.4.0. Invariant: an interaction is a job
of ours and its one picture; it has no memory of its own that could say something else.
"""

from heliograph.server.gemini.interactions.routes import Interactions

__all__ = ["Interactions"]
