"""Certificates for the tests, made anew each time: an authority, a server, clients, and some that are wrong."""

from __future__ import annotations

import ipaddress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

NAMES = [
    x509.DNSName("prometheus.bank.example"),
    x509.RFC822Name("noc@bank.example"),
    x509.UniformResourceIdentifier("spiffe://bank.example/scraper"),
    x509.IPAddress(ipaddress.ip_address("2001:db8::1")),
]


class Authority:
    """Signs certificates."""

    def __init__(self, name: str) -> None:
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._key = ec.generate_private_key(ec.SECP256R1())
        self.certificate = self._build(self._name, self._key.public_key(), [], authority=True)

    def _build(
        self, name: x509.Name, key: ec.EllipticCurvePublicKey, names: list[x509.GeneralName], *, authority: bool
    ) -> bytes:
        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(hours=1))
            .not_valid_after(now + timedelta(days=1))
            .add_extension(x509.BasicConstraints(authority, None), critical=True)
        )
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        return builder.sign(self._key, hashes.SHA256()).public_bytes(Encoding.PEM)

    def issue(self, folder: Path, name: str, names: list[x509.GeneralName]) -> None:
        """Write NAME.crt and NAME.key."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        (folder / f"{name}.crt").write_bytes(self._build(subject, key.public_key(), names, authority=False))
        (folder / f"{name}.key").write_bytes(_pem(key, NoEncryption()))


def _pem(key: ec.EllipticCurvePrivateKey, encryption: KeySerializationEncryption) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def fill(folder: Path) -> None:
    """All that the configurations of the tests name."""
    ours, theirs = Authority("bank"), Authority("somebody")
    (folder / "ca.crt").write_bytes(ours.certificate)
    here = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    ours.issue(folder, "server", here)
    ours.issue(folder, "renewed", here)
    ours.issue(folder, "scraper", NAMES)
    ours.issue(folder, "nameless", [])
    theirs.issue(folder, "stranger", NAMES)
    password = BestAvailableEncryption(b"S3cret")
    (folder / "encrypted.key").write_bytes(_pem(ec.generate_private_key(ec.SECP256R1()), password))
    (folder / "damaged.crt").write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    (folder / "empty").write_text("")
    (folder / "folder").mkdir()
