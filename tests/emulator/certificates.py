"""Makes the certificates of the emulator's TLS ports; run by hand, since they are kept in the tree.

    python tests/emulator/certificates.py

Keys and certificates lie together in one file a kind. They are public and protect nothing.
"""

import ipaddress
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

FOLDER = Path(__file__).parents[2] / "src" / "heliograph" / "emulator" / "tls"

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2126, 1, 1, tzinfo=UTC)
LONG_OVER = (datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 2, 1, tzinfo=UTC))
HERE: tuple[x509.GeneralName, ...] = (
    x509.DNSName("localhost"),
    x509.IPAddress(ipaddress.ip_address("127.0.0.1")),
    x509.IPAddress(ipaddress.ip_address("::1")),
)
ELSEWHERE: tuple[x509.GeneralName, ...] = (x509.DNSName("elsewhere.invalid"),)

Key = ec.EllipticCurvePrivateKey


def name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def certificate(
    subject: str,
    key: Key,
    *,
    names: tuple[x509.GeneralName, ...] = HERE,
    life: tuple[datetime, datetime] = (BEGIN, END),
    signer: tuple[str, Key] | None = None,
    authority: bool = False,
) -> x509.Certificate:
    issuer, signing_key = signer or (subject, key)
    usage = x509.KeyUsage(
        digital_signature=not authority,
        key_cert_sign=authority,
        crl_sign=authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    builder = (
        x509.CertificateBuilder()
        .subject_name(name(subject))
        .issuer_name(name(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(life[0])
        .not_valid_after(life[1])
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signing_key.public_key()),
            critical=False,
        )
    )
    if not authority:
        server = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        builder = builder.add_extension(server, critical=False)
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(signing_key, SHA256())


def pem(made: x509.Certificate, key: Key | None = None) -> bytes:
    private = b""
    if key is not None:
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return private + made.public_bytes(Encoding.PEM)


def main() -> None:
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(5)]
    root = "Heliograph emulator, trust nothing it signs"
    signer = (root, keys[0])
    # The key that signs is thrown away: nothing else is ever signed with it.
    (FOLDER / "ca.pem").write_bytes(pem(certificate(root, keys[0], authority=True)))
    made = {
        "good": certificate("localhost", keys[1], signer=signer),
        "expired": certificate("localhost", keys[2], signer=signer, life=LONG_OVER),
        "wrong_name": certificate("elsewhere.invalid", keys[3], signer=signer, names=ELSEWHERE),
        "self_signed": certificate("localhost", keys[4]),
    }
    for (kind, each), key in zip(made.items(), keys[1:], strict=True):
        (FOLDER / f"{kind}.pem").write_bytes(pem(each, key))


if __name__ == "__main__":
    main()
