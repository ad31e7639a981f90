"""A test authority: made at the first start where nobody gives a real certificate."""

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from luciole.bundle import fresh_folder

YEARS = timedelta(days=3650)
AUTHORITY, SIGNER = "Luciole test authority", "Luciole test signer"


@dataclass(frozen=True)
class Identity:
    """PEM: the certificates, the signer's first, its key, and whom one must trust to believe it."""

    chain: bytes
    key: bytes
    anchor: bytes


def given(chain: Path, key: Path) -> Identity:
    """A real identity; the last certificate of the chain is the anchor."""
    certificates = chain.read_bytes()
    last = x509.load_pem_x509_certificates(certificates)[-1]
    return Identity(certificates, key.read_bytes(), last.public_bytes(Encoding.PEM))


def made(folder: Path) -> Identity:
    """The test identity of this folder; the authority's own key is thrown away at once."""
    if not folder.exists():
        _make(folder)
    parts = ("chain.pem", "signer.key", "authority.pem")
    return Identity(*((folder / part).read_bytes() for part in parts))


def _make(folder: Path) -> None:
    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    root = _certificate(AUTHORITY, root_key, AUTHORITY, root_key, authority=True)
    signer = _certificate(SIGNER, key, AUTHORITY, root_key, authority=False)
    secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    anchor = root.public_bytes(Encoding.PEM)
    with fresh_folder(folder) as fresh:
        (fresh / "authority.pem").write_bytes(anchor)
        (fresh / "chain.pem").write_bytes(signer.public_bytes(Encoding.PEM) + anchor)
        with os.fdopen(
            os.open(fresh / "signer.key", os.O_WRONLY | os.O_CREAT, 0o600), "wb"
        ) as file:
            file.write(secret)


def _certificate(
    subject: str,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    issuer_key: ec.EllipticCurvePrivateKey,
    authority: bool,
) -> x509.Certificate:
    """As the C2PA certificate profile asks: version 3, key usages, identifiers."""
    moment = datetime.now(UTC)
    public, issued_by = key.public_key(), issuer_key.public_key()
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject))
        .issuer_name(_name(issuer))
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(moment - timedelta(minutes=5))
        .not_valid_after(moment + YEARS)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issued_by), critical=False
        )
        .add_extension(_usage(authority), critical=True)
    )
    if not authority:
        purposes = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
        builder = builder.add_extension(purposes, critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _name(common: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Luciole"),
            x509.NameAttribute(NameOID.COMMON_NAME, common),
        ]
    )


def _usage(authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
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
