"""The Gemini face: what unmodified google-genai and curl of Google's own documents speak.

    face        the routes
    calling     generateContent, streamGenerateContent and countTokens
    inbox       bodies, long strings in files           protojson, schema   checked messages
    asking      a message as a request of ours          models              list and get
    files, uploads   the Files API                      waiting             signs of life
    answer, rendering   what Google said, as bytes      envelope            errors
    interactions        the other way to ask, by id and in the background

Invariant: answers and errors have the shape that Google's have; what is ours besides stands in
headers that begin with `x-heliograph-` and in the `details` of errors.
"""

from heliograph.server.gemini.envelope import error_response
from heliograph.server.gemini.face import routes

__all__ = ["error_response", "routes"]
