"""Certificates for the TLS ports: one good, three that no client may accept.

Invariant: the keys beside this file are public and protect nothing. All of them are for `localhost`
and loopback addresses; `tests/emulator/certificates.py` made them once, valid for a hundred years,
but for the expired one. A client trusts `good` through SSL_CERT_FILE set to `ca.pem`.
"""

import ssl
from pathlib import Path

GOOD = "good"
KINDS = (GOOD, "expired", "wrong_name", "self_signed")

_FOLDER = Path(__file__).parent
AUTHORITY = _FOLDER / "ca.pem"
"""The certificate to trust."""


def context(kind: str) -> ssl.SSLContext:
    """A server's side with one of the certificates."""
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(_FOLDER / f"{kind}.pem")
    return made
