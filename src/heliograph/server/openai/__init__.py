"""The OpenAI face: what OpenAI's own SDKs send below `/openai/v1`, and answers in their shapes.

    routes      the paths, and what happens on each
    images      parameters of images/generations and images/edits
    chat        parameters and messages of chat/completions
    fields options shape names   how single parameters are read
    multipart inline scratch   pictures that come in
    answers body events   documents, large bodies and event streams
    failures    errors in OpenAI's envelope
    description the OpenAPI document

Source of the shapes: the types of openai 3.54 (gemini-api.md 7.3), Google's own compatibility layer
(7.1) and what aggregators have made usual (7.2). Invariant: a parameter is done or refused by name;
none is dropped.
"""

from heliograph.server.openai.failures import error_response
from heliograph.server.openai.routes import routes

__all__ = ["error_response", "routes"]
