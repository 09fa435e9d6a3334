"""The watches of a worker, built from the settings and wired to its reads and its group."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TYPE_CHECKING

from msgspec.structs import replace

from app.config.watches import Watch, read_watches
from app.reads.peers import PeerError
from app.watches.duty import WatchDuty
from app.watches.signature import read_secret
from app.watches.topic import WatchTopic
from app.watches.webhooks import Webhooks
from app.web.access.renewed import Renewed
from tables.errors import NotReadyError

if TYPE_CHECKING:
    from agents.source.group_map import GroupMap
    from app.config.settings import Settings
    from app.watch_bodies import Watches
    from app.watches.courier import WatchObserver
    from app.worker.faust_app import WordcountApp
    from app.worker.group_reads import GroupReads


def build_watches(
    settings: Settings,
    faust_app: WordcountApp,
    reads: GroupReads,
    observer: WatchObserver,
    version: str,
) -> WatchDuty | None:
    """Return the duty of the watches; None = the settings have no watches. Nothing is connected.

    Args:
        settings: settings that were checked.
        faust_app: knows the membership in the group.
        reads: answers questions over all partitions, and asks other workers.
        observer: is told what happens.
        version: version of Wordcount.

    Raises:
        ConfigurationError: the file of watches, or a secret, cannot be used.
    """
    watches = read_watches(settings)
    if not watches:
        return None
    timeout_s = settings.query_timeout_ms / 1000

    def group_map() -> GroupMap | None:
        found: GroupMap | None = faust_app.consumer.membership.group_map
        return found

    def check_lease() -> None:
        faust_app.consumer.membership.check_membership()

    async def ask(url: str) -> Watches:
        try:
            return replace(await reads.peers.watches(url, timeout_s), here=False)
        except PeerError as error:
            raise NotReadyError(
                f"the worker that sends the watches does not answer ({error})", "ask again"
            ) from error

    return WatchDuty(
        _with_keys(watches),
        source=f"/wordcount/{settings.group}/{settings.topic}",
        queries=reads.queries,
        log=WatchTopic(settings),
        webhooks=Webhooks(version),
        group_map=group_map,
        check_lease=check_lease,
        ask=ask,
        observer=observer,
    )


def _with_keys(watches: Sequence[Watch]) -> Sequence[tuple[Watch, Callable[[], bytes]]]:
    """Return each watch with a function that returns the key of its secret as the file is now."""
    names = {watch.secret_file: watch.name for watch in watches}
    keys = {file: Renewed(partial(read_secret, file, name), [file]).present for file, name in names.items()}
    return [(watch, keys[watch.secret_file]) for watch in watches]
