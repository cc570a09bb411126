"""Bad connections, named as toxiproxy does where it can be; invariant: the answer itself is good.

A call whose answer was finished is billed in the default mode even if its bytes never arrive, as
Google does; a reset before that is not.
"""

from typing import get_args

from heliograph.emulator.envelope import ApiError
from heliograph.emulator.faults.contract import Case, Certificate, Delivery, Fault, Shut, table

_SHUT_SECONDS = 2
_SLOW_SECONDS = 10
# A client that forgets to stop must not keep the emulator busy for ever.
_ENDLESS_MEGABYTES = 4096


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


def _refuse(case: Case) -> Delivery:
    return Delivery(reset="before", shut=Shut(seconds=case.number(_SHUT_SECONDS)))


def _tls(case: Case) -> Delivery:
    kind, rest = case.split()
    certificate = next((each for each in get_args(Certificate) if each == kind), None)
    if kind and certificate is None:
        raise case.bad_argument(f"one of {', '.join(get_args(Certificate))}")
    seconds = rest.number(_SHUT_SECONDS)
    shut = Shut(seconds=seconds, certificate=certificate or "expired")
    return Delivery(reset="before", shut=shut)


def _endless(case: Case) -> Delivery:
    length = case.whole(_ENDLESS_MEGABYTES) << 20
    return Delivery(stop_at="image_middle", ending="endless", endless_bytes=length)


def _informational(case: Case) -> Delivery:
    code = case.whole(103)
    # 101 is no announcement: it would end HTTP on this connection.
    if not 100 <= code <= 199 or code == 101:
        raise case.bad_argument("from 100 to 199, but not 101")
    return Delivery(informational=code)


FAULTS = table(
    Fault(
        name="refuse",
        explain="connection reset, and no port listens for ARG (2) seconds; nothing billed",
        delivery=_refuse,
        early=True,
    ),
    Fault(
        name="tls",
        explain="connection reset, and for 2 seconds the good TLS port shows the certificate "
        "ARG (expired), wrong_name or self_signed; seconds may follow a colon; nothing billed",
        delivery=_tls,
        early=True,
    ),
    Fault(
        name="reset-before",
        explain="connection reset before the body is read (by tag: after it), nothing billed",
        delivery=lambda _: Delivery(reset="before"),
        early=True,
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
        name="endless",
        explain="the picture's base64 never ends; after ARG (4096) MB the connection closes",
        delivery=_endless,
    ),
    Fault(
        name="informational",
        explain="a reply of status ARG (103), 100 to 199, before the real one; HTTP/1.1 only",
        delivery=_informational,
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
    Fault(
        name="slow-tier",
        explain="ARG is PROJECT or PROJECT:SECONDS (10): that project's calls think so much longer",
        delivery=lambda case: Delivery(think=case.split()[1].number(_SLOW_SECONDS)),
        names_project=True,
    ),
)
