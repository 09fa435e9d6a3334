"""The HTTP client of the benchmarks, a process of its own: asks workers, each over one kept connection, and times each answer.

Standard input: a line of JSON `{"urls": [...], "paths": [...], "every_s": ...}`, then nothing; the end of standard input stops the
client. Each request goes to a worker and a path that chance chooses. Standard output: JSON with `taken` = seconds of each answer,
`refused` = number of requests with status 503 or without an answer, `proven` = share of the answers that do not say `"exact":false`.
The client uses only the standard library, so that it starts at once.
"""

from __future__ import annotations

import http.client
import json
import random
import sys
import threading
import time
from http import HTTPStatus
from urllib.parse import urlsplit

_EXPECTED = {HTTPStatus.OK, HTTPStatus.NOT_FOUND, HTTPStatus.SERVICE_UNAVAILABLE}


def main() -> None:
    """Ask until standard input ends."""
    order = json.loads(sys.stdin.readline())
    ended = threading.Event()

    def wait_for_end() -> None:
        sys.stdin.read()
        ended.set()

    threading.Thread(target=wait_for_end, daemon=True).start()
    choose = random.Random(0).choice
    connections = [http.client.HTTPConnection(urlsplit(url).netloc, timeout=30) for url in order["urls"]]
    taken: list[float] = []
    refused = unproven = 0
    while not ended.is_set():
        connection = choose(connections)
        started = time.perf_counter()
        try:
            connection.request("GET", choose(order["paths"]))
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException):
            connection.close()
            refused += 1
        else:
            taken.append(time.perf_counter() - started)
            refused += answer.status == HTTPStatus.SERVICE_UNAVAILABLE
            unproven += b'"exact":false' in body
            if answer.status not in _EXPECTED:
                raise SystemExit(f"the worker answers with status {answer.status}")
        time.sleep(max(0.0, started + order["every_s"] - time.perf_counter()))
    for connection in connections:
        connection.close()
    print(json.dumps({"taken": taken, "refused": refused, "proven": 1 - unproven / max(1, len(taken))}))


if __name__ == "__main__":
    main()
