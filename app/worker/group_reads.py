"""The reads of a worker: its own partitions, the other workers, and the queries over all of them, built from the settings."""

from __future__ import annotations

import secrets
import ssl
from dataclasses import dataclass
from typing import TYPE_CHECKING

from app.config.http_trust import workers_trust
from app.reads.holdings import WorkerHoldings
from app.reads.local import LocalReads
from app.reads.parties import Parties
from app.reads.peers import Deployment, PeerObserver, Peers
from app.reads.proof import Proofs
from app.reads.queries import WordQueries
from app.reads.store_reads import StoreReads
from app.web.access.renewed import Renewed
from app.worker.own_address import OwnAddress

if TYPE_CHECKING:
    from collections.abc import Callable

    from agents.source.group_map import GroupMap
    from agents.topology import Topology
    from app.config.settings import Settings
    from app.worker.faust_app import WordcountApp

_PROCESS_NAME_BYTES = 8


@dataclass(frozen=True, slots=True)
class GroupReads:
    """The parts that answer questions.

    Attributes:
        queries: answers questions over all partitions.
        local: answers questions over partitions of this process.
        peers: asks the other workers.
        proofs: makes and checks the proofs between workers.
        deployment: the group and topic that are counted.
        address: asks whether the URL that this worker advertises leads to it alone.
    """

    queries: WordQueries
    local: LocalReads
    peers: Peers
    proofs: Proofs
    deployment: Deployment
    address: OwnAddress

    async def close(self) -> None:
        """Answer and ask nothing from now on."""
        self.address.close()
        self.local.close()
        await self.peers.close()


def build_reads(
    settings: Settings,
    faust_app: WordcountApp,
    topology: Topology,
    observer: PeerObserver,
    *,
    partition_count: Callable[[], int | None],
    url: Callable[[], str],
    version: str,
) -> GroupReads:
    """Build the reads of a worker. Nothing is connected.

    Args:
        settings: settings that were checked.
        faust_app: knows the membership in the group.
        topology: has the partitions of this process.
        observer: is told how questions to other workers end.
        partition_count: number of partitions of the input topic; None while it is not known.
        url: the URL that this worker advertises, as soon as HTTP is served.
        version: version of Wordcount.
    """

    timeout_s, process = settings.query_timeout_ms / 1000, secrets.token_hex(_PROCESS_NAME_BYTES)
    partitions = topology.partitions
    local = LocalReads(
        WorkerHoldings(*topology.readable),
        StoreReads(partitions.changes, partitions.rebuild_corrupted, timeout_s),
        process=process,
        version=version,
    )
    deployment = Deployment(settings.group, settings.topic)
    secret = settings.peer_secret
    proofs = Proofs(lambda: "" if secret is None else secret.get_secret_value())
    peers = Peers(deployment, proofs, observer, _trust(settings))

    def group_map() -> GroupMap | None:
        found: GroupMap | None = faust_app.consumer.membership.group_map
        return found

    parties = Parties(local, partition_count, group_map, peers)
    address = OwnAddress(url, process, peers.status, group_map)
    return GroupReads(WordQueries(parties, timeout_s), local, peers, proofs, deployment, address)


def _trust(settings: Settings) -> Callable[[], ssl.SSLContext | bool]:
    """Return a function that returns how other workers are verified over TLS, as the files of certificates are now."""
    file = settings.http_tls_ca_file or settings.http_tls_cert_file
    return (lambda: True) if file is None else Renewed(lambda: workers_trust(settings), [file]).present
