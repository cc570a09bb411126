"""Spans follow the GenAI conventions and hold nothing private."""

import sys

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode

from heliograph import AsyncHeliograph
from heliograph.errors import ConfigurationError
from heliograph.ports import Event
from heliograph.server import telemetry
from heliograph.server.telemetry import Telemetry

PROMPT = "A very private lighthouse"


@pytest.fixture
def exporter() -> InMemorySpanExporter:
    return InMemorySpanExporter()


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Telemetry:
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    return Telemetry(provider)


def _one(exporter: InMemorySpanExporter) -> ReadableSpan:
    (span,) = exporter.get_finished_spans()
    return span


async def test_one_span_a_picture(
    spans: Telemetry, exporter: InMemorySpanExporter, tmp_path: object
) -> None:
    async with AsyncHeliograph(
        home=str(tmp_path), simulate=True, observer=spans.observe, emulator_options=("--small",)
    ) as client:
        result = await client.generate(PROMPT, size="1K")
    span = _one(exporter)
    facts = span.attributes or {}
    assert span.name == f"generate_content {result.plan.model}"
    assert facts["gen_ai.request.model"] == result.plan.model
    assert facts["gen_ai.output.type"] == "image"
    assert facts["heliograph.cost_micro"] == result.cost
    assert {"sent", "answering"} <= {event.name for event in span.events}
    assert PROMPT not in span.to_json()


def test_a_failure_is_marked(spans: Telemetry, exporter: InMemorySpanExporter) -> None:
    spans.observe(Event(name="planned", job="j", at=0, facts={"model": "m", "size": "4K"}))
    spans.observe(Event(name="finished", job="j", at=1, facts={"error": "overloaded"}))
    spans.observe(Event(name="kept", job="j", at=2))
    span = _one(exporter)
    assert span.status.status_code is StatusCode.ERROR
    assert (span.attributes or {})["error.type"] == "overloaded"


def test_what_is_open_ends_with_the_process(
    spans: Telemetry, exporter: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(telemetry, "MOST", 2)
    for job in "abc":
        spans.observe(Event(name="planned", job=job, at=0, facts={"model": "m", "size": "4K"}))
    assert len(exporter.get_finished_spans()) == 1
    spans.close()
    assert len(exporter.get_finished_spans()) == 3


def test_without_the_package_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.trace", None)
    with pytest.raises(ConfigurationError, match="telemetry"):
        Telemetry()
