"""Spans of OpenTelemetry with the attributes of its GenAI conventions, for whoever wants them.

Off unless `server_telemetry` is set; the package comes with the extra "telemetry", and where the
spans go is set by OpenTelemetry's own means (`opentelemetry-instrument heliograph serve`).
Invariant: a span tells of the model, sizes, costs and steps, never of a prompt, a user or a key.
"""

import importlib
from collections import OrderedDict
from typing import Any

from heliograph.errors import ConfigurationError
from heliograph.ports import Event

MOST = 10_000  # spans that are open at a time
PROVIDER = "gcp.gemini"
OPERATION = "generate_content"
ENDS = ("kept", "given up", "finished")
QUIET = ("receiving", "uploading")  # hundreds a picture


class Telemetry:
    """An observer that makes one span of each call.

    Args:
        provider: a tracer provider; without it the one that the process was started with.

    Raises:
        ConfigurationError: the package is not installed.
    """

    def __init__(self, provider: Any = None) -> None:
        try:
            self._trace = importlib.import_module("opentelemetry.trace")
        except ImportError as error:
            raise ConfigurationError(
                "Telemetry is switched on, but OpenTelemetry is not installed.",
                remedy='Install it: pip install "heliograph[telemetry]", or set '
                "HELIOGRAPH_SERVER_TELEMETRY=false.",
            ) from error
        self._tracer = self._trace.get_tracer("heliograph", tracer_provider=provider)
        self._spans: OrderedDict[str, Any] = OrderedDict()  # by job

    def observe(self, event: Event) -> None:
        """An observer of the client."""
        if event.name in QUIET:
            return
        if event.name == "planned":
            self._begin(event)
        span = self._spans.get(event.job)
        if span is None:
            return
        if event.name != "planned":
            span.add_event(event.name, _plain(event))
        if event.name in ENDS:
            self._end(event.job, event)

    def close(self) -> None:
        """End what is still open."""
        for job in list(self._spans):
            self._spans.pop(job).end()

    def _begin(self, event: Event) -> None:
        model = str(event.facts.get("model"))
        span = self._tracer.start_span(
            f"{OPERATION} {model}",
            kind=self._trace.SpanKind.CLIENT,
            attributes={
                "gen_ai.operation.name": OPERATION,
                "gen_ai.provider.name": PROVIDER,
                "gen_ai.output.type": "image",
                "gen_ai.request.model": model,
                "heliograph.job": event.job,
                "heliograph.size": str(event.facts.get("size")),
                "heliograph.expected_micro": int(event.facts.get("expected_micro", 0)),
            },
        )
        self._spans[event.job] = span
        if len(self._spans) > MOST:
            self._spans.popitem(last=False)[1].end()

    def _end(self, job: str, event: Event) -> None:
        span = self._spans.pop(job)
        facts = event.facts
        if event.name == "kept":
            span.set_attribute("heliograph.cost_micro", int(facts.get("cost_micro", 0)))
            span.set_attribute("heliograph.verdict", str(facts.get("verdict")))
        error = facts.get("error")
        if event.name == "given up" or error:
            span.set_attribute("error.type", str(error or "given_up"))
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR))
        span.end()


# facts that are numbers, codes or names of models
_TOLD = ("http_status", "bytes", "error", "wait", "attempt", "cost_micro", "verdict", "model")


def _plain(event: Event) -> dict[str, str | int | float]:
    return {
        name: value
        for name, value in event.facts.items()
        if name in _TOLD and isinstance(value, str | int | float)
    }
