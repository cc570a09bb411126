"""Bad connections, named as toxiproxy does where it can be; invariant: the answer itself is good.

A call whose answer was finished is billed in the default mode even if its bytes never arrive, as
Google does; a reset before that is not.
"""

from heliograph.emulator.envelope import ApiError
from heliograph.emulator.faults.contract import Case, Delivery, Fault, table


def _cut_json(case: Case) -> Delivery:
    return Delivery(stop_at=case.whole(0) if case.arg else "image_middle")


def _cut_after_image(case: Case) -> Delivery:
    if case.choice("close", "close", "clean") == "clean":
        return Delivery(stop_at="image_end", ending="clean")
    return Delivery(stop_at="image_end")


def _stall_after(case: Case) -> Delivery:
    return Delivery(stop_at=case.whole(0) if case.arg else "half", ending="stall")


def _reset_after_bytes(case: Case) -> Delivery:
    return Delivery(stop_at=case.whole(0) if case.arg else "half", ending="reset")


def _drip(case: Case) -> Delivery:
    speed = case.whole(1024)
    if speed < 1:
        raise case.bad_argument("one byte per second or more")
    return Delivery(bytes_per_second=speed)


def _stream_error(case: Case) -> Delivery:
    code = case.whole(503)
    texts = {
        429: ("RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."),
        500: ("INTERNAL", "An internal error has occurred."),
        503: ("UNAVAILABLE", "The model is overloaded. Please try again later."),
    }
    if code not in texts:
        raise case.bad_argument(f"one of {', '.join(map(str, texts))}")
    status, message = texts[code]
    return Delivery(stream_error=ApiError(code=code, status=status, message=message))


FAULTS = table(
    Fault(
        name="reset-before",
        explain="connection reset before the body is read (by tag: after it), nothing billed",
        delivery=lambda _: Delivery(reset="before"),
    ),
    Fault(
        name="reset-after-request",
        explain="connection reset after the request was read, no answer made",
        delivery=lambda _: Delivery(reset="after_request"),
    ),
    Fault(
        name="reset-after-bytes",
        explain="connection reset after ARG (half) bytes of the body",
        delivery=_reset_after_bytes,
    ),
    Fault(
        name="delay-headers",
        explain="ARG (30) seconds between the finished answer and its first byte",
        delivery=lambda case: Delivery(delay_headers=case.number(30)),
    ),
    Fault(
        name="stall-after",
        explain="silence after ARG (half) bytes of the body, connection open",
        delivery=_stall_after,
    ),
    Fault(name="drip", explain="ARG (1024) bytes per second", delivery=_drip),
    Fault(
        name="cut-json",
        explain="connection closed after ARG bytes (default: inside the picture)",
        delivery=_cut_json,
    ),
    Fault(
        name="cut-after-image",
        explain="connection closed right after the picture's base64; ARG clean ends it politely",
        delivery=_cut_after_image,
    ),
    Fault(
        name="length-lie",
        explain="Content-Length promises ARG (1000) bytes more than come",
        delivery=lambda case: Delivery(claim_extra=case.whole(1000)),
    ),
    Fault(
        name="stream-error",
        explain="an error after the first event of a stream, ARG (503) 429|500|503",
        delivery=_stream_error,
    ),
    Fault(
        name="slow",
        explain="ARG (1) seconds more of the model's own time, so deadlines apply",
        delivery=lambda case: Delivery(think=case.number(1)),
    ),
)
