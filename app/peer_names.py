"""What a worker that asks another worker, the one that is asked, and a command that looks who answers have in common."""

from __future__ import annotations

from typing import Final

PEER_PATH: Final = "/peer/v1/ask"
"""The path at which workers ask each other."""

DEPLOYMENT_HEADER: Final = "Wordcount-Deployment"
"""The header in which workers that ask each other name group and topic: `group/topic`."""
