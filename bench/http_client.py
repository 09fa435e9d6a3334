"""A client in a process of its own: asks one worker for words over one connection that is kept, and times each answer.

Standard input: a line of JSON `{"url": ..., "words": [...], "every_s": ...}`, then nothing until the end, which stops it. Standard
output: JSON, seconds of each answer. The standard library alone, so that it starts at once.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
from urllib.parse import quote, urlsplit


def main() -> None:
    """Ask until standard input ends."""
    order = json.loads(sys.stdin.readline())
    ended = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    paths = [f"/v1/words/{quote(word)}" for word in order["words"]]
    choose = random.Random(0).choice
    connection = http.client.HTTPConnection(urlsplit(order["url"]).netloc, timeout=30)
    connection.connect()
    taken: list[float] = []
    while not ended.is_set():
        started = time.perf_counter()
        connection.request("GET", choose(paths))
        answer = connection.getresponse()
        answer.read()
        taken.append(time.perf_counter() - started)
        if answer.status not in {200, 404}:
            raise SystemExit(f"the worker answers with status {answer.status}")
        time.sleep(max(0.0, started + order["every_s"] - time.perf_counter()))
    connection.close()
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
