"""Answers whose JSON is odd or not JSON at all; invariant: what has no picture is never billed."""

import functools
import json
import re
import zlib

from heliograph.emulator.encoding import TextEdit
from heliograph.emulator.envelope import ApiError
from heliograph.emulator.faults.contract import Canned, Case, Delivery, Fault, table
from heliograph.emulator.reply import Tree

_INNER = {
    400: ("INVALID_ARGUMENT", "Request contains an invalid argument."),
    403: ("PERMISSION_DENIED", "Permission denied."),
    404: ("NOT_FOUND", "Requested entity was not found."),
    429: ("RESOURCE_EXHAUSTED", "Resource exhausted. Please try again later."),
    500: ("INTERNAL", "Internal error encountered."),
    503: ("UNAVAILABLE", "The service is currently unavailable."),
}
_HTML_TYPE = {"content-type": "text/html; charset=UTF-8"}
_PORTAL = (
    b"<!doctype html><html><head><title>Network sign-in</title></head><body>Hello</body></html>"
)
# The first of two equal keys, of which most parsers keep the second.
_DUPLICATES = {
    "data": '"AAAA"',
    "candidates": "[]",
    "usageMetadata": '{"promptTokenCount": 1}',
}
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff"
_BOMB_MEGABYTES = 256


def _error_200(case: Case, *, as_list: bool) -> Delivery:
    code = case.whole(503)
    if code not in _INNER:
        raise case.bad_argument(f"one of {', '.join(map(str, _INNER))}")
    status, message = _INNER[code]
    error = ApiError(code=code, status=status, message=message).body()
    body = [error] if as_list else error
    return Delivery(canned=Canned(body=json.dumps(body).encode()))


def _status_body(case: Case) -> Delivery:
    body = str(case.options.get("raw", case.arg))
    headers = case.options.get("headers", {})
    return Delivery(
        canned=Canned(
            body=body.encode(), status=int(case.options.get("status", 200)), headers=headers
        )
    )


def _gzip_bomb(case: Case) -> Delivery:
    packed = gzip_bomb(case.whole(_BOMB_MEGABYTES))
    return Delivery(canned=Canned(body=packed, headers={"content-encoding": "gzip"}))


@functools.cache
def gzip_bomb(megabytes: int) -> bytes:
    """A valid gzip file of that many megabytes of blanks, a thousandth of them long."""
    block = b" " * (1 << 20)
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    # After a full flush equal input packs to equal output, so one block serves for all.
    packed = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = 0
    for _ in range(megabytes):
        checksum = zlib.crc32(block, checksum)
    length = (megabytes << 20) % 2**32
    trailer = checksum.to_bytes(4, "little") + length.to_bytes(4, "little")
    return _GZIP_HEADER + packed * megabytes + packer.flush(zlib.Z_FINISH) + trailer


def _redirect(case: Case) -> Delivery:
    target = case.arg or "http://127.0.0.1:9/elsewhere"
    return Delivery(canned=Canned(body=b"", status=307, headers={"location": target}))


def _duplicate_keys(case: Case) -> TextEdit:
    key = case.choice("data", *_DUPLICATES)
    found = f'"{key}": '
    return lambda text: text.replace(found, f"{found}{_DUPLICATES[key]}, {found}", 1)


def _unknown_finish(tree: Tree, case: Case) -> Tree:
    candidates = [
        {**candidate, "finishReason": case.arg or "SOMETHING_NEW"}
        for candidate in tree.get("candidates", ())
    ]
    return {**tree, "candidates": candidates}


def _unknown_field(tree: Tree, _: Case) -> Tree:
    candidates = [
        {**candidate, "somethingNew": {"deep": [1, None, {"er": "…"}]}}
        for candidate in tree.get("candidates", ())
    ]
    return {**tree, "candidates": candidates, "somethingNew": True}


def _escaped(_: Case) -> TextEdit:
    return lambda text: re.sub(r"[^\x00-\x7f]", lambda hit: json.dumps(hit[0])[1:-1], text)


FAULTS = table(
    Fault(
        name="body-html",
        explain="200 with the HTML of a middle box",
        delivery=lambda _: Delivery(canned=Canned(body=_PORTAL, headers=_HTML_TYPE)),
    ),
    Fault(
        name="body",
        explain="a raw body; ARG text, or rule args {raw,status,headers}",
        delivery=_status_body,
    ),
    Fault(
        name="error-200",
        explain="200 with an error envelope of code ARG (503)",
        delivery=lambda case: _error_200(case, as_list=False),
    ),
    Fault(
        name="error-list-200",
        explain="200 with a list of one error envelope of code ARG (503)",
        delivery=lambda case: _error_200(case, as_list=True),
    ),
    Fault(
        name="bad-utf8",
        explain="200 with bytes that are not UTF-8",
        delivery=lambda _: Delivery(canned=Canned(body=b'{"candidates": [{"x": "\xff\xfe"}]}')),
    ),
    Fault(name="gzip-bomb", explain="gzip of ARG (256) MB of blanks, 1:1000", delivery=_gzip_bomb),
    Fault(name="redirect", explain="307 to ARG (http://127.0.0.1:9/elsewhere)", delivery=_redirect),
    Fault(
        name="huge-headers",
        explain="a reply header of ARG (65536) bytes",
        delivery=lambda case: Delivery(
            canned=Canned(body=b"{}", headers={"x-huge": "h" * case.whole(65536)})
        ),
    ),
    Fault(
        name="bom",
        explain="a byte order mark before the JSON",
        delivery=lambda _: Delivery(prefix=b"\xef\xbb\xbf"),
    ),
    Fault(
        name="duplicate-keys",
        explain="ARG (data) data|candidates|usageMetadata twice in one object",
        text=_duplicate_keys,
    ),
    Fault(name="escaped-text", explain="every non-ASCII character as a JSON escape", text=_escaped),
    Fault(
        name="unknown-finish",
        explain="a finishReason of tomorrow, ARG (SOMETHING_NEW), with the picture",
        tree=_unknown_finish,
    ),
    Fault(
        name="unknown-field",
        explain="fields of tomorrow at two levels",
        tree=_unknown_field,
    ),
)
