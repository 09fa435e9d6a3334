"""The check of `wordcount doctor` that asks the workers of the group: who answers where, for which deployment, in which version."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, NamedTuple

from app.operate.check import Check
from app.operate.worker_client import WorkerAddress, ask_assignments, ask_deployment, member_addresses
from tables.errors import WordcountError

if TYPE_CHECKING:
    from app.config.settings import Settings
    from app.kafka.group_members import GroupMember

MOST_NAMED: Final = 10
"""Most problems that the check names one by one."""

_THREADS: Final = 32

_WRONG: Final = "set WORDCOUNT_ADVERTISED_URL of each worker to a URL that leads to this worker"
_DOUBTFUL: Final = (
    "look at /readyz of these workers; set WORDCOUNT_ADVERTISED_URL where other workers cannot reach them, "
    "and upgrade former versions"
)


class _Found(NamedTuple):
    """What was found at the address of a worker.

    Attributes:
        version: version of the worker; "" = not known.
        wrong: what is certainly wrong; "" = nothing.
        doubtful: what may be wrong; "" = nothing.
    """

    version: str = ""
    wrong: str = ""
    doubtful: str = ""


def member_check(settings: Settings, members: Sequence[GroupMember]) -> Check:
    """Ask every member of the group at the URL that it advertises.

    Another worker there is a failure. No answer is a warning, because others may reach a worker that this machine does not reach.
    """
    title = f"workers of group {settings.group}"
    if not members:
        return Check(title, "ok", "no worker runs")
    urls = Counter(member.card.url for member in members if member.card is not None and member.card.url)
    try:
        addresses = member_addresses(settings, list(urls))
    except WordcountError as error:
        return Check(title, "fail", error.message, error.remedy)
    with ThreadPoolExecutor(_THREADS) as threads:
        found = list(threads.map(lambda address: _ask(settings, address), addresses))
    versions = sorted({one.version for one in found} - {""})
    wrong = [one.wrong for one in found if one.wrong]
    wrong += [f"{count} workers advertise {url}" for url, count in urls.items() if count > 1]
    doubtful = [one.doubtful for one in found if one.doubtful]
    doubtful += [
        f"{member.client} does not say where it is asked: it is of a former version, serves no HTTP, or joins just now"
        for member in members
        if member.card is None or not member.card.url
    ]
    if len(versions) > 1:
        doubtful.append(f"there are several versions: {', '.join(versions)}")
    if not wrong and not doubtful:
        return Check(title, "ok", f"{len(members)} answer where they say, version {', '.join(versions)}")
    problems = wrong + doubtful
    more = f"; and {len(problems) - MOST_NAMED} more" if len(problems) > MOST_NAMED else ""
    detail = "; ".join(problems[:MOST_NAMED]) + more
    return Check(title, "fail", detail, _WRONG) if wrong else Check(title, "warn", detail, _DOUBTFUL)


def _ask(settings: Settings, worker: WorkerAddress) -> _Found:
    try:
        ours, theirs = f"{settings.group}/{settings.topic}", ask_deployment(worker)
        if theirs != ours:
            return _Found(wrong=f"the worker at {worker.url} counts for {theirs}, not {ours}")
        here = next((one for one in ask_assignments(worker).workers if one.here), None)
    except WordcountError as error:
        return _Found(doubtful=error.message)
    if here is None or here.url == worker.url:
        return _Found("" if here is None else here.version)
    return _Found(
        here.version, wrong=f"at {worker.url} the worker answers that advertises {here.url or 'nothing'}"
    )
