"""Whether exact counting can go on from a stored position. Where not, the partition stops and says why; nothing is reset. Pure."""

from __future__ import annotations

from tables.errors import InexactError
from tables.rows import Marker


def check_position(marker: Marker, *, topic: str, partition: int, profile: str, start: int, end: int) -> None:
    """Compare what the state says with what is configured and with what the input topic has.

    Args:
        marker: of the last flush.
        topic: input topic, as configured.
        partition: its number.
        profile: identity of the tally, as configured.
        start: first offset that can be read.
        end: offset after the last record.

    Raises:
        InexactError: names topic, partition, offsets and the remedy.
    """
    where = f"{topic} partition {partition}"
    if marker.topic != topic:
        raise InexactError(
            f"the changelog holds counts of topic {marker.topic}, not of {topic}",
            "use another WORDCOUNT_GROUP for another topic",
        )
    if marker.profile != profile:
        raise InexactError(
            f"{where} was counted with profile {marker.profile}, now configured: {profile}",
            "configure the former profile and options, or count again under another WORDCOUNT_GROUP",
        )
    if marker.position < start:
        raise InexactError(
            f"{where}: records {marker.position} to {start - 1} expired before they were counted",
            "count again under another WORDCOUNT_GROUP, and raise the retention of the topic",
        )
    if marker.position > end:
        raise InexactError(
            f"{where} ends at offset {end}, but {marker.position} was next to count: truncated or created again",
            "count again under another WORDCOUNT_GROUP",
        )
