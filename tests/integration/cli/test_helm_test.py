"""What `helm test` runs in a pod, run here: it sends a text to a real broker, and ends well only if a worker counts its word."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.integration.conftest import KafkaClient, Workers

SCRIPT = Path(__file__).parents[3] / "helm" / "wordcount" / "files" / "count-a-word.sh"
WORD = "wordcounthelmtest"
DEADLINE_S = 120


async def test_helm_test_counts_a_word_and_fails_where_nobody_counts_it(
    kafka: KafkaClient, workers: Workers, tmp_path: Path
) -> None:
    def tried(url: str, text: str = WORD, seconds: int = 60) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["sh", "-c", SCRIPT.read_text().replace("seq 60", f"seq {seconds}")],
            env={
                "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
                "HOME": str(tmp_path),
                "WORDCOUNT_BOOTSTRAP_SERVERS": kafka.bootstrap_servers,
                "WORDCOUNT_TOPIC": workers.topic,
                "WORDCOUNT_GROUP": workers.group,
                "TEST_URL": url,
                "TEST_WORD": WORD,
                "TEST_TEXT": text,
            },
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=DEADLINE_S,
            check=False,
        )

    await kafka.create_topic(workers.topic, 2)
    worker = await workers().start().wait_ready()
    for before in (0, 1):
        done = tried(f"http://127.0.0.1:{worker.port}")
        assert done.returncode == 0, done
        assert f'"{WORD}" was counted: {before}, now {before + 1}' in done.stdout
    done = tried(f"http://127.0.0.1:{worker.port}", text="another word", seconds=2)
    assert done.returncode == 1
    assert f'"{WORD}" was sent and not counted within 60 s: 2, now 2' in done.stderr
    await worker.stop()
    done = tried(f"http://127.0.0.1:{worker.port}")
    assert done.returncode != 0
    assert "no worker answer" in done.stderr
    assert WORD not in done.stdout
