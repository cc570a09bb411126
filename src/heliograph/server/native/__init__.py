"""The native face, `/api/v1`: everything the library can do, over HTTP.

    app         puts it together
    desk        the gateway and the caller, for one request
    reading, problems, documents   bodies in, errors out, the OpenAPI document
    shapes/     what is asked and answered
    plans jobs images sessions casts prompts money accounts calls   the routes

Invariant: what belongs to somebody else is not there; unknown fields are refused; a GET changes
nothing.
"""

from heliograph.server.native.app import build
from heliograph.server.native.problems import error_response

__all__ = ["build", "error_response"]
