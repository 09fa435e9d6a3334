"""Refused logins and certificates: every command and a worker end at once with exit code 2 and a line that says what to set."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from app.config.loading import load_settings
from app.kafka.admin import open_admin
from tables.errors import ConfigurationError
from tables.model.names import changelog_topic, dead_letter_topic
from tests.integration.certificates import DAY, Authority
from tests.integration.commands import Wordcount, examine
from tests.integration.secured import CERTIFICATE_PRINCIPAL, PASSWORD, PRINCIPAL, USER
from tests.integration.worker import counts_of, lines, recount, wait_counted, wait_for

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.integration.conftest import KafkaClient, Workers
    from tests.integration.secured import SecuredBroker
    from tests.integration.worker import Worker

Case = tuple["Callable[[SecuredBroker, Path], dict[str, object]]", str]


def plain(secured: SecuredBroker, listener: str) -> dict[str, object]:
    return {"bootstrap_servers": secured.at(listener)}


def expired(secured: SecuredBroker, folder: Path) -> dict[str, object]:
    path = secured.authority.write_signed(folder / "expired.pem", USER, valid_for=-DAY)
    return secured.mtls(ssl_cert_file=path)


CASES: dict[str, Case] = {
    "wrong password": (
        lambda secured, _: secured.sasl(sasl_password="wrong"),
        r'refuses the login of user "limited" by PLAIN .*; set WORDCOUNT_SASL_USERNAME',
    ),
    "wrong password by scram": (
        lambda secured, _: secured.sasl("SCRAM-SHA-512", sasl_password="wrong"),
        r'refuses the login of user "limited" by SCRAM-SHA-512',
    ),
    "unknown user": (
        lambda secured, _: secured.sasl("SCRAM-SHA-256", sasl_username="nobody"),
        r'refuses the login of user "nobody"',
    ),
    "mechanism": (
        lambda secured, _: secured.sasl("SCRAM-SHA-512", bootstrap_servers=secured.at("PLAIN_ONLY")),
        r"does not offer SASL mechanism SCRAM-SHA-512, but PLAIN; set WORDCOUNT_SASL_MECHANISM",
    ),
    "unknown authority": (
        lambda secured, folder: secured.mtls(
            ssl_ca_file=Authority("other").write_certificate(folder / "ca.pem")
        ),
        r"signed by an authority that WORDCOUNT_SSL_CA_FILE .* does not have .*; set WORDCOUNT_SSL_CA_FILE",
    ),
    "authority of the system": (
        lambda secured, _: secured.mtls(ssl_ca_file=None),
        r"signed by an authority that the system does not have",
    ),
    "other name": (
        lambda secured, _: secured.mtls(bootstrap_servers=f"localhost:{secured.ports['MTLS']}"),
        r'is not for the name "localhost"; use an address that the certificate has',
    ),
    "expired broker": (
        lambda secured, _: secured.mtls(bootstrap_servers=secured.at("EXPIRED")),
        r"the certificate of broker \S+ has expired; renew",
    ),
    "no client certificate": (
        lambda secured, _: secured.mtls(ssl_cert_file=None),
        r"wants a client's certificate .*; set WORDCOUNT_SSL_CERT_FILE",
    ),
    "foreign client certificate": (
        lambda secured, _: secured.mtls(ssl_cert_file=secured.stranger_file),
        r"does not take the certificate in WORDCOUNT_SSL_CERT_FILE",
    ),
    "expired client certificate": (expired, r"does not take the certificate in WORDCOUNT_SSL_CERT_FILE"),
    "tls at a plain port": (
        lambda secured, _: secured.mtls(bootstrap_servers=secured.open_servers),
        r"has no TLS at that port, but WORDCOUNT_SECURITY_PROTOCOL is SSL; set",
    ),
    "login with tls at a port without": (
        lambda secured, _: secured.sasl(bootstrap_servers=secured.at("SASL")),
        r"has no TLS at that port, but WORDCOUNT_SECURITY_PROTOCOL is SASL_SSL",
    ),
    "plain at a tls port": (
        lambda secured, _: plain(secured, "TLS"),
        r"has TLS at that port, but WORDCOUNT_SECURITY_PROTOCOL is PLAINTEXT",
    ),
    "plain at a mtls port": (lambda secured, _: plain(secured, "MTLS"), r"has TLS at that port"),
    "plain at a login port": (
        lambda secured, _: plain(secured, "SASL"),
        r"wants a login by PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, but WORDCOUNT_SECURITY_PROTOCOL is PLAINTEXT",
    ),
    "certificate at a login port": (
        lambda secured, _: secured.mtls(bootstrap_servers=secured.at("SASL_SSL")),
        r"wants a login by PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, but WORDCOUNT_SECURITY_PROTOCOL is SSL",
    ),
    "login at a port without": (
        lambda secured, _: secured.sasl(bootstrap_servers=secured.at("TLS")),
        r"has no logins at that port",
    ),
}


@pytest.mark.parametrize("case", CASES)
async def test_who_is_not_let_in_is_told_what_to_set(
    secured: SecuredBroker, tmp_path: Path, case: str
) -> None:
    make, told = CASES[case]
    settings = load_settings(**make(secured, tmp_path))
    with pytest.raises(ConfigurationError, match=told) as caught:
        async with open_admin(settings):
            pass
    assert "\n" not in str(caught.value)
    assert "secret" not in str(caught.value)


def variables(settings: dict[str, object]) -> dict[str, Any]:
    return {name: str(value) for name, value in settings.items() if value is not None}


@pytest.mark.parametrize("command", ["topics create", "produce", "verify", "reset --yes", "rebuild"])
def test_every_command_ends_with_2_and_one_line(
    secured: SecuredBroker, topic_name: str, tmp_path: Path, command: str
) -> None:
    wordcount = Wordcount(secured.open_servers, topic_name, tmp_path)
    state = tmp_path / "state"
    (state / changelog_topic("wordcount", topic_name) / "0").mkdir(parents=True)
    done = wordcount(
        *command.split(), stdin=b"a\n", **variables(secured.sasl(sasl_password="wrong", state_dir=state))
    )
    assert done.returncode == 2, done
    (line,) = [line for line in done.stderr.splitlines() if line.startswith(b"wordcount: ")]
    assert b'refuses the login of user "limited"' in line


def test_doctor_says_the_same(secured: SecuredBroker, topic_name: str, tmp_path: Path) -> None:
    wordcount = Wordcount(secured.open_servers, topic_name, tmp_path)
    broker = examine(wordcount, **variables(secured.mtls(ssl_cert_file=None)))["broker"]
    assert (broker["status"], "wants a client's certificate" in broker["detail"]) == ("fail", True)


async def test_a_worker_that_is_not_let_in_ends_with_2(
    secured: SecuredBroker, secured_workers: Workers, tmp_path: Path
) -> None:
    worker = secured_workers(**variables(secured.sasl("SCRAM-SHA-256", sasl_password="wrong")))
    worker.start()
    assert await worker.ended() == 2
    (line,) = [line for line in worker.log.splitlines() if line.startswith("wordcount: ")]
    assert 'refuses the login of user "limited" by SCRAM-SHA-256' in line


async def test_certificates_are_read_again_when_they_change(
    secured: SecuredBroker, secured_workers: Workers, kafka_at: Callable[[str], KafkaClient]
) -> None:
    topic, kafka = secured_workers.topic, kafka_at(secured.open_servers)
    await kafka.create_topic(topic, 2)
    await grant_all(secured, secured_workers, CERTIFICATE_PRINCIPAL)
    worker = secured_workers(**secured.mtls())
    await worker.start().wait_ready()
    await kafka.produce(topic, lines(1, 20))
    await wait_counted([worker], secured.open_servers, topic)

    secured.certify_broker(Authority("the next one"))
    secured.restart()
    detail = await unready(worker, "signed by an authority")
    assert "set WORDCOUNT_SSL_CA_FILE" in detail
    await kafka.produce(topic, lines(2, 20))
    secured.certify_client()
    await worker.wait_ready()
    await wait_counted([worker], secured.open_servers, topic)
    assert await counts_of([worker]) == await recount(secured.open_servers, topic)
    assert worker.log.count("a broker does not let this worker in") == 1
    assert await worker.stop() < (0, 10)


async def test_a_password_in_a_file_is_read_again_when_it_changes(
    secured: SecuredBroker, secured_workers: Workers, kafka_at: Callable[[str], KafkaClient], tmp_path: Path
) -> None:
    topic, kafka = secured_workers.topic, kafka_at(secured.open_servers)
    await kafka.create_topic(topic, 2)
    await grant_all(secured, secured_workers, PRINCIPAL)
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "WORDCOUNT_SASL_PASSWORD").write_text(PASSWORD + "\n")
    login = secured.sasl("SCRAM-SHA-512", secrets_dir=secrets)
    del login["sasl_password"]
    worker = secured_workers(**login)
    await worker.start().wait_ready()
    try:
        await secured.set_password("the next one")
        secured.restart()
        detail = await unready(worker, f'refuses the login of user "{USER}" by SCRAM-SHA-512')
        assert "the next one" not in detail
        await kafka.produce(topic, lines(3, 20))
        (secrets / "WORDCOUNT_SASL_PASSWORD").write_text("the next one\n")
        await worker.wait_ready()
        await wait_counted([worker], secured.open_servers, topic)
        assert await counts_of([worker]) == await recount(secured.open_servers, topic)
        assert worker.log.count("a broker does not let this worker in") == 1
        assert await worker.stop() < (0, 10)
    finally:
        await secured.set_password(PASSWORD)


async def grant_all(secured: SecuredBroker, workers: Workers, principal: str) -> None:
    topic, group = workers.topic, workers.group
    names = (topic, changelog_topic(group, topic), dead_letter_topic(group, topic))
    await secured.grant(
        *(("All", "topic", name) for name in names), ("All", "group", group), principal=principal
    )


async def unready(worker: Worker, reason: str) -> str:
    """Wait until /readyz is 503 and its check of the broker contains `reason`; return the detail of this check."""
    detail = ""

    async def told() -> bool:
        nonlocal detail
        answer = await worker.get("/readyz")
        detail = answer.json()["checks"]["broker"]["detail"]
        return answer.status_code == 503 and reason in detail

    await wait_for(told, f"{reason!r} in /readyz")
    return detail
