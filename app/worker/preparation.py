"""The preparation of a worker: what is opened and checked before records are consumed or HTTP is served."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from typing import Any, Final

import structlog

from app.config.settings import Settings
from app.kafka.changelog_owner import refuse_former_changelog
from app.kafka.coordinator import ensure_coordinator
from app.kafka.topics import ensure_topics
from app.machine import open_files
from app.web.server import bound_socket
from tables.store.folder_lock import StateLock

_log = structlog.get_logger(__name__)

FAUST_DEFAULT_PORT: Final = 6066
"""Means "any free port" in Faust's configuration."""


def faust_port(settings: Settings) -> int:
    """Return the HTTP port for Faust's configuration, which does not accept 0 for any free port."""
    return settings.http_port or FAUST_DEFAULT_PORT


class Preparation:
    """Locks the state folder, binds the HTTP port, and checks topics and group. Lock and socket are held until the process ends.

    Args:
        settings: settings that were checked.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lock: StateLock | None = None
        self._listener: socket.socket | None = None

    @property
    def listeners(self) -> Sequence[socket.socket]:
        """Sockets for HTTP; empty before `run`, or if no HTTP is served."""
        return [] if self._listener is None else [self._listener]

    async def run(self, conf: Any) -> None:
        """Open and check everything that a worker needs.

        Args:
            conf: Faust's configuration, including the flags of Faust's command line.

        Raises:
            WordcountError: a check failed; the error says what is wrong, and what to do.
        """
        settings = self._settings
        self._lock = StateLock(settings.state_dir)
        if conf.web_enabled:
            # A port on Faust's command line wins over the setting. Faust itself does not accept 0, which means any free port.
            port = settings.http_port if conf.web_port == faust_port(settings) else conf.web_port
            self._listener = bound_socket(conf.web_bind, port)
        await refuse_former_changelog(settings)
        topics = await ensure_topics(settings)
        if problem := open_files.too_few(topics.partitions, open_files.limit()):
            _log.warning("the limit of open files is low", problem=problem, remedy=open_files.REMEDY)
        await ensure_coordinator(settings)
