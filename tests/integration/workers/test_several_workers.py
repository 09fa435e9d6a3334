"""The commands of `docs/capacity.md` for several workers on one machine work as the page shows them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from tests.integration.worker import BIN, ROOT, free_port, lines, recount, wait_for

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient

PARTITIONS = 4
GROUP = "several"


async def test_two_workers_started_as_documented_share_the_partitions(
    kafka: KafkaClient, tmp_path: Path
) -> None:
    await kafka.create_topic("several-texts", PARTITIONS)
    for partition in range(PARTITIONS):
        await kafka.produce("several-texts", lines(partition, 50), partition=partition)
    truth = await recount(kafka.bootstrap_servers, "several-texts")
    (block,) = re.findall(
        r"^```sh\n(.*?)^```", (ROOT / "docs/capacity.md").read_text("utf-8"), re.M | re.DOTALL
    )
    ports = {"8080": str(free_port()), "8081": str(free_port())}
    replaced = {
        "127.0.0.1:9092": kafka.bootstrap_servers,
        "WORDCOUNT_TOPIC=texts": "WORDCOUNT_TOPIC=several-texts",
        "WORDCOUNT_GROUP=wordcount": f"WORDCOUNT_GROUP={GROUP}",
        ".venv/bin/wordcount": str(BIN / "wordcount"),
        **ports,
    }
    for text, replacement in replaced.items():
        assert text in block, text
        block = block.replace(text, replacement)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("WORDCOUNT_")}
    with (tmp_path / "log").open("wb") as log:
        shell = subprocess.Popen(
            ["sh", "-c", block], cwd=tmp_path, env=inherited, stdout=log, stderr=log, start_new_session=True
        )
    try:
        async with httpx.AsyncClient(trust_env=False) as client:

            async def bodies(path: str) -> list[dict[str, Any]]:
                answers = [await client.get(f"http://127.0.0.1:{port}{path}") for port in ports.values()]
                return [answer.json() if answer.status_code == 200 else {} for answer in answers]

            async def shared() -> bool:
                try:
                    found = await bodies("/v1/assignments")
                    stats = await bodies("/v1/stats")
                except httpx.TransportError:
                    return False
                return (
                    all(found)
                    and [_shares(each) for each in found] == [[PARTITIONS // 2] * 2] * 2
                    and [each.get("words") for each in stats] == [truth.total()] * 2
                )

            await wait_for(shared, "two workers share the partitions, and each of them answers for all")
            word = max(truth, key=lambda each: truth[each])
            for answer in await bodies(f"/v1/words/{word}"):
                assert (answer["count"], answer["complete"]) == (truth[word], True)
                assert sorted(map(int, answer["as_of"])) == list(range(PARTITIONS))
            assert sorted(path.name for path in (tmp_path / ".wordcount").iterdir()) == ["state-0", "state-1"]
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        try:
            await wait_for(lambda: _ended(shell), "shell and workers end")
        except AssertionError:
            os.killpg(shell.pid, signal.SIGKILL)
            raise


def _shares(assignments: dict[str, Any]) -> list[int]:
    """Return the number of partitions that each worker counts."""
    return [
        sum(
            partition is not None and partition["state"] == "counting"
            for partition in worker["active"].values()
        )
        for worker in assignments["workers"]
    ]


async def _ended(shell: subprocess.Popen[bytes]) -> bool:
    """Return whether every process of the shell's process group has ended."""
    shell.poll()
    try:
        os.killpg(shell.pid, 0)
    except ProcessLookupError:
        return True
    return False
