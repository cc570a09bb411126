"""Tells receivers of our users when a job has ended.

    registration   who is to be told of what; nothing secret is stored
    delivery       what was told, and what is still to be
    sender         the background task that tells, again and again until it is heard
    signing        Standard Webhooks signatures: made here, and checked by receivers
    routes         the API

Source: the Standard Webhooks specification, reliability.md K22 and S73. Invariant: what was taken
on is told at least once within 24 hours or written down as dead, always under the same event id.
"""

from heliograph.server.webhooks.routes import routes
from heliograph.server.webhooks.sender import Webhooks
from heliograph.server.webhooks.signing import Forged, Memory, Received, verify

__all__ = ["Forged", "Memory", "Received", "Webhooks", "routes", "verify"]
