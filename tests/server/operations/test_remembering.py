"""What the log remembers to be harmless stays so only while no secret is learned."""

import io
import json
import logging

from heliograph.accounts import new_id
from heliograph.server.logs import Served, log_request, stop_logs, write_logs
from heliograph.server.redaction import MOST, REDACTED, Redactor

LATER = "a-s3cret-that-is-learned-later"


def test_a_secret_that_is_learned_later_is_hidden_in_what_was_harmless_before() -> None:
    redactor = Redactor()
    assert redactor.clean(f"got {LATER}") == f"got {LATER}"
    redactor.add(LATER)
    assert redactor.clean(f"got {LATER}") == f"got {REDACTED}"


def test_a_flood_of_texts_takes_bounded_memory() -> None:
    redactor = Redactor()
    for number in range(2 * MOST):
        redactor.clean(f"text {number}")
    assert len(redactor._harmless) <= MOST


def test_every_text_of_a_request_line_but_its_id_is_looked_through() -> None:
    stream = io.StringIO()
    handler = write_logs(Redactor([LATER]), stream=stream)
    before = logging.getLogger().level
    served = Served(
        request_id=new_id(),
        method="GET",
        route=f"/{LATER}",
        status=404,
        seconds=0.0012,
        user=LATER,
        key=LATER,
        address=LATER,
        job=LATER,
        cost_micro=5,
    )
    try:
        log_request(served)
    finally:
        stop_logs(handler)
        logging.getLogger().setLevel(before)
    line = json.loads(stream.getvalue())
    assert LATER not in stream.getvalue()
    assert line["route"] == f"/{REDACTED}"
    assert {line[name] for name in ("user", "key", "address", "job")} == {REDACTED}
    assert (line["status"], line["ms"], line["cost_micro"]) == (404, 1.2, 5)
    assert line["request"] == served.request_id
