"""The commands of `docs/capacity.md` for several workers on one machine work as the page shows them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx

from tests.integration.worker import ROOT, free_port, lines, recount, wait_for

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
        ".venv/bin/wordcount": str(ROOT / ".venv/bin/wordcount"),
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

            async def stats() -> list[dict[str, Any]]:
                answers = [await client.get(f"http://127.0.0.1:{port}/v1/stats") for port in ports.values()]
                return [answer.json() if answer.status_code == 200 else {} for answer in answers]

            async def counted_together() -> bool:
                try:
                    found = await stats()
                except httpx.TransportError:
                    return False
                return (
                    all(found)
                    and [len(each["as_of"]) for each in found] == [PARTITIONS // 2] * 2
                    and sum(each["words"] for each in found) == truth.total()
                )

            await wait_for(counted_together, "two workers share the partitions")
            first, second = await stats()
            assert sorted(map(int, [*first["as_of"], *second["as_of"]])) == list(range(PARTITIONS))
            assert first["missing_partitions"] == sorted(map(int, second["as_of"]))
            assert first["complete"] is second["complete"] is False
            word = max(truth, key=lambda each: truth[each])
            counts = [
                (await client.get(f"http://127.0.0.1:{port}/v1/words/{word}")).json().get("count", 0)
                for port in ports.values()
            ]
            assert sum(counts) == truth[word]
            assert sorted(path.name for path in (tmp_path / ".wordcount").iterdir()) == ["state-0", "state-1"]
    finally:
        os.killpg(shell.pid, signal.SIGTERM)
        try:
            await wait_for(lambda: _ended(shell), "shell and workers end")
        except AssertionError:
            os.killpg(shell.pid, signal.SIGKILL)
            raise


async def _ended(shell: subprocess.Popen[bytes]) -> bool:
    """Return whether every process of the shell's process group has ended."""
    shell.poll()
    try:
        os.killpg(shell.pid, 0)
    except ProcessLookupError:
        return True
    return False
