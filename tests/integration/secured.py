"""A Kafka broker with TLS, logins and an authorizer, for tests of certificates, passwords and rights.

Its listeners are: PLAINTEXT for the set-up of tests, whose user may do everything; MTLS, which requires a client certificate; TLS,
which asks for no client certificate; EXPIRED, whose own certificate has expired; SASL_SSL with PLAIN and both SCRAM mechanisms over
TLS; PLAIN_ONLY with PLAIN alone over TLS; SASL with PLAIN and both SCRAM mechanisms without TLS.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.protocol.admin import CreateAclsRequest, DeleteAclsRequest
from aiokafka.protocol.api import Request, RequestStruct, Response
from aiokafka.protocol.types import (
    CompactArray,
    CompactBytes,
    Int8,
    Int16,
    Int32,
    Schema,
)

from app.config.loading import load_settings
from app.kafka.admin import open_admin
from app.local.embedded import EmbeddedBroker
from tables.errors import BrokerUnavailableError
from tables.kafka.requests import TAGS, TEXT
from tests.integration.certificates import DAY, Authority
from tests.integration.worker import free_port

HOST = "127.0.0.1"
USER = "limited"
"""A user who has only the rights that a test grants; it logs in by PLAIN or SCRAM, or as `CN=limited` by certificate."""

PASSWORD = "limited's secret"
PRINCIPAL = f"User:{USER}"
CERTIFICATE_PRINCIPAL = f"User:CN={USER}"

_PROTOCOLS = {
    "CONTROLLER": "PLAINTEXT",
    "PLAINTEXT": "PLAINTEXT",
    "MTLS": "SSL",
    "TLS": "SSL",
    "EXPIRED": "SSL",
    "SASL_SSL": "SASL_SSL",
    "PLAIN_ONLY": "SASL_SSL",
    "SASL": "SASL_PLAINTEXT",
}
_MECHANISMS = "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512"
_KINDS = {"topic": 2, "group": 3, "cluster": 4}
_OPERATIONS = {
    "All": 2,
    "Read": 3,
    "Write": 4,
    "Create": 5,
    "Delete": 6,
    "Alter": 7,
    "Describe": 8,
    "DescribeConfigs": 10,
}
_LITERAL, _ALLOW = 3, 3
_SCRAM = {"SCRAM-SHA-256": (1, "sha256"), "SCRAM-SHA-512": (2, "sha512")}
_ITERATIONS = 4096


class SecuredBroker:
    """The secured broker, the files that its clients need, and the actions of its operator; it runs while its context is entered.

    Args:
        folder: holds the data of the broker and the files with certificates.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(exist_ok=True)
        self.ports = {name: free_port() for name in _PROTOCOLS}
        self.ca_file, self.client_file = folder / "ca.pem", folder / "client.pem"
        self.stranger_file = Authority("stranger").write_signed(folder / "stranger.pem", USER)
        self.certify_broker(Authority())
        self.certify_client()
        self._embedded = EmbeddedBroker(
            folder / "kafka", port=self.ports["PLAINTEXT"], settings=self._settings(), heap_mb=400
        )

    def __enter__(self) -> SecuredBroker:
        self._embedded.start()
        asyncio.run(self.set_password(PASSWORD))
        asyncio.run(self._have_coordinator())
        return self

    def __exit__(self, *_: object) -> None:
        self._embedded.stop()

    def certify_broker(self, authority: Authority) -> None:
        """Write new certificates of the broker; after a `restart` the broker uses them and trusts only `authority`."""
        self.authority = authority
        authority.write_certificate(self.folder / "broker-ca.pem")
        authority.write_signed(self.folder / "broker.pem", "broker", hosts=[HOST])
        authority.write_signed(self.folder / "expired.pem", "broker", hosts=[HOST], valid_for=-DAY)

    def certify_client(self) -> None:
        """Write new files of the clients, signed by the authority of the broker."""
        self.authority.write_signed(self.client_file, USER)
        self.authority.write_certificate(self.ca_file)

    def restart(self) -> None:
        """Restart the broker with the certificates that its folder has now."""
        self._embedded.stop()
        self._embedded.start()

    def at(self, listener: str) -> str:
        """Return `host:port` of a listener."""
        return f"{HOST}:{self.ports[listener]}"

    @property
    def open_servers(self) -> str:
        """`host:port` of the listener whose user may do everything, for the set-up of tests."""
        return self.at("PLAINTEXT")

    def mtls(self, **other: object) -> dict[str, object]:
        """Return the settings of a client with a certificate; `other` replaces or adds settings."""
        return {
            "bootstrap_servers": self.at("MTLS"),
            "security_protocol": "SSL",
            "ssl_ca_file": self.ca_file,
            "ssl_cert_file": self.client_file,
            **other,
        }

    def sasl(self, mechanism: str = "PLAIN", **other: object) -> dict[str, object]:
        """Return the settings of a client with a login over TLS; `other` replaces or adds settings."""
        return {
            "bootstrap_servers": self.at("SASL_SSL"),
            "security_protocol": "SASL_SSL",
            "ssl_ca_file": self.ca_file,
            "sasl_mechanism": mechanism,
            "sasl_username": USER,
            "sasl_password": PASSWORD,
            **other,
        }

    async def grant(self, *rights: tuple[str, str, str], principal: str = PRINCIPAL) -> None:
        """Grant rights to `principal`; a right is (operation, kind of resource, name of the resource)."""
        async with self._admin() as admin:
            for right in rights:
                answer = await admin._send_to_controller(CreateAclsRequest(*_binding(right, principal)))
                assert [error for error, _ in answer.creation_responses] == [0], answer

    async def revoke(self, *rights: tuple[str, str, str], principal: str = PRINCIPAL) -> None:
        """Take rights away from `principal`, each of which was granted before."""
        async with self._admin() as admin:
            for right in rights:
                answer = await admin._send_to_controller(DeleteAclsRequest(*_binding(right, principal)))
                (found,) = answer.filter_responses
                assert (found[0], len(found[2])) == (0, 1), answer

    async def set_password(self, password: str) -> None:
        """Set the password of the user for both SCRAM mechanisms; the password for PLAIN stays `PASSWORD`."""
        async with self._admin() as admin:
            for mechanism in _SCRAM:
                answer = await admin._send_to_controller(_AlterScram(USER, password, mechanism))
                assert [error for _, error, _, _ in answer.results] == [0], answer

    async def _have_coordinator(self) -> None:
        """Wait for the group coordinator: a new broker creates the topic of offsets only when a coordinator is asked for."""
        settings = load_settings(bootstrap_servers=self.open_servers)
        async with asyncio.timeout(60):
            while True:
                try:
                    async with open_admin(settings) as admin:
                        await admin.group_members("any")
                    return
                except BrokerUnavailableError:
                    await asyncio.sleep(0.05)

    @asynccontextmanager
    async def _admin(self) -> AsyncIterator[Any]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.open_servers)
        await admin.start()
        try:
            yield admin
        finally:
            await admin.close()

    def _settings(self) -> Mapping[str, str]:
        listeners = ",".join(f"{name}://{HOST}:{port}" for name, port in self.ports.items())
        plain = "org.apache.kafka.common.security.plain.PlainLoginModule required"
        scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
        settings = {
            "listeners": listeners,
            "advertised.listeners": ",".join(
                listener for listener in listeners.split(",") if not listener.startswith("CONTROLLER")
            ),
            "listener.security.protocol.map": ",".join(f"{name}:{kind}" for name, kind in _PROTOCOLS.items()),
            "inter.broker.listener.name": "PLAINTEXT",
            "controller.quorum.voters": f"1@{self.at('CONTROLLER')}",
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "allow.everyone.if.no.acl.found": "false",
            "super.users": "User:ANONYMOUS",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": str(self.folder / "broker.pem"),
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": str(self.folder / "broker-ca.pem"),
            "listener.name.mtls.ssl.client.auth": "required",
            "listener.name.expired.ssl.keystore.location": str(self.folder / "expired.pem"),
            "sasl.enabled.mechanisms": _MECHANISMS,
            "listener.name.plain_only.sasl.enabled.mechanisms": "PLAIN",
        }
        for listener in ("sasl_ssl", "plain_only", "sasl"):
            prefix = f"listener.name.{listener}"
            settings[f"{prefix}.plain.sasl.jaas.config"] = f'{plain} user_{USER}="{PASSWORD}";'
            settings[f"{prefix}.scram-sha-256.sasl.jaas.config"] = scram
            settings[f"{prefix}.scram-sha-512.sasl.jaas.config"] = scram
        return settings


def _binding(right: tuple[str, str, str], principal: str) -> tuple[int, str, int, str, str, int, int]:
    operation, kind, name = right
    return _KINDS[kind], name, _LITERAL, principal, "*", _OPERATIONS[operation], _ALLOW


class _AlterScramResponse(Response):
    API_KEY = 51
    API_VERSION = 0
    SCHEMA = Schema(
        ("throttle_time_ms", Int32),
        (
            "results",
            CompactArray(
                ("user", TEXT),
                ("error_code", Int16),
                ("error_message", TEXT),
                TAGS,
            ),
        ),
        TAGS,
    )


class _AlterScramRequest(RequestStruct):
    API_KEY = 51
    API_VERSION = 0
    FLEXIBLE_VERSION = True
    RESPONSE_TYPE = _AlterScramResponse
    SCHEMA = Schema(
        (
            "deletions",
            CompactArray(("name", TEXT), ("mechanism", Int8), TAGS),
        ),
        (
            "upsertions",
            CompactArray(
                ("name", TEXT),
                ("mechanism", Int8),
                ("iterations", Int32),
                ("salt", CompactBytes),
                ("salted_password", CompactBytes),
                TAGS,
            ),
        ),
        TAGS,
    )


class _AlterScram(Request[_AlterScramRequest]):
    """A request that sets the password of a user for one SCRAM mechanism (KIP-554); aiokafka has no such request."""

    API_KEY = 51

    def __init__(self, user: str, password: str, mechanism: str) -> None:
        number, digest = _SCRAM[mechanism]
        salt = os.urandom(16)
        salted = hashlib.pbkdf2_hmac(digest, password.encode(), salt, _ITERATIONS)
        self._upsertion = (user, number, _ITERATIONS, salt, salted, {})

    def build(self, request_struct_class: type[_AlterScramRequest]) -> _AlterScramRequest:
        return request_struct_class([], [self._upsertion], {})
