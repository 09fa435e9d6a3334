"""Certificates for the tests, signed by authorities whose keys are made for each test run and written to no file."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = timedelta(days=1)


class Authority:
    """Signs certificates that are valid from yesterday to tomorrow.

    Args:
        name: common name of the authority's own certificate.
    """

    def __init__(self, name: str = "tests") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        builder = _builder(self._name, self._key.public_key(), self._name, DAY)
        self._certificate = builder.add_extension(constraints, critical=True).sign(self._key, hashes.SHA256())

    def write_certificate(self, path: Path) -> Path:
        """Write the authority's own certificate as PEM, for clients and brokers that trust this authority; return `path`."""
        path.write_bytes(self._certificate.public_bytes(serialization.Encoding.PEM))
        return path

    def write_signed(
        self,
        path: Path,
        name: str,
        *,
        hosts: Sequence[str] = (),
        valid_for: timedelta = DAY,
        password: bytes | None = None,
    ) -> Path:
        """Write a new key and its certificate into one PEM file, which replaces an existing file atomically; return `path`.

        Args:
            path: path of the file.
            name: common name of the owner, whom Kafka knows as `User:CN=<name>`.
            hosts: IP addresses of a server; empty = the certificate is for a client.
            valid_for: time from now on for which the certificate is valid; negative = the certificate has expired.
            password: encrypts the key; None = the key is not encrypted.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_name(name), key.public_key(), self._name, valid_for)
        usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        builder = builder.add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
        if hosts:
            addresses = [x509.IPAddress(ipaddress.ip_address(host)) for host in hosts]
            builder = builder.add_extension(x509.SubjectAlternativeName(addresses), critical=False)
        encryption = (
            serialization.NoEncryption()
            if password is None
            else serialization.BestAvailableEncryption(password)
        )
        draft = path.with_suffix(".draft")
        draft.write_bytes(
            key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption)
            + builder.sign(self._key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        )
        return draft.replace(path)


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _builder(
    subject: x509.Name, key: ec.EllipticCurvePublicKey, issuer: x509.Name, valid_for: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - 2 * DAY)
        .not_valid_after(now + valid_for)
    )
