"""All settings of Wordcount, with types, bounds, defaults and descriptions. `app.config.loading` reads the values.

Longer than 400 lines because it is one table, which a reader searches and nobody reads from its beginning to its end.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationInfo, field_validator

from agents.text.choices import (
    CountOrSkip,
    CountSkipOrDeadLetter,
    DropOrDeadLetter,
    FormatName,
    Policies,
    ProfileName,
    ReplaceSkipOrDeadLetter,
    SkipOrDeadLetter,
)
from app.config.types import (
    HostNames,
    HostPorts,
    HttpUrl,
    JsonPointer,
    Jump,
    KafkaName,
    Origins,
    ReplicationFactor,
    TimeSource,
    WindowDurations,
    WindowList,
    WordList,
)
from tables.errors import ConfigurationError
from tables.model.names import Topics

_POLICIES: Final = Policies()
"""The default of each policy."""


class Settings(BaseModel):
    """All settings. `app.config.loading.load_settings` creates an instance, and checks that the values fit together."""

    model_config = ConfigDict(frozen=True)

    # Kafka
    bootstrap_servers: HostPorts = Field("127.0.0.1:9092", description="Brokers that are asked first.")
    topic: KafkaName = Field("wordcount-input", description="Input topic.")
    group: KafkaName = Field(
        "wordcount",
        description="Consumer group, and first part of the names of the changelog and dead-letter topics: "
        "`<group>-<topic>-changelog` and `<group>-<topic>-dead-letters`. If the group's name has a hyphen, `-` and the length of the "
        "group's name follow, so that no two pairs of group and topic share a name.",
    )
    group_instance_id: KafkaName | None = Field(
        None,
        description="Static membership: a name that this worker keeps over restarts, unique in the group. "
        "A restart within the session time-out then moves no partition.",
    )
    session_timeout_ms: int = Field(
        10_000,
        ge=1_000,
        le=1_800_000,
        description="After this long without a heartbeat the group gives a worker's partitions to others. "
        "Brokers refuse values below `group.min.session.timeout.ms` (6 s by default) or above "
        "`group.max.session.timeout.ms`.",
    )
    request_timeout_ms: int = Field(
        5_000,
        ge=1_000,
        le=300_000,
        description="Longest wait for a broker's answer to one request. Then the connection to this broker is dropped, and another "
        "broker is asked which broker leads the partition. A flush or a restore may take twice as long before it is tried again.",
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "snappy",
        description="Compression of written records: changelog, dead letters, and lines of `produce`. "
        "Event Hubs accepts `none` and `gzip`.",
    )
    isolation: Literal["read_committed", "read_uncommitted"] = Field(
        "read_committed",
        description="`read_committed`: records of open and aborted transactions are left out; `read_uncommitted`: they are counted.",
    )
    processing_guarantee: Literal["exact"] = Field(
        "exact",
        description="Every record is counted once, by positions that are stored with the counts. "
        "Faust's `exactly_once` is refused: it loses or doubles counts.",
    )
    create_topics: bool = Field(
        True, description="Create missing topics at start; otherwise a missing topic is an error."
    )
    partitions: int = Field(8, ge=1, le=10_000, description="Partitions of an input topic that is created.")
    replication_factor: ReplicationFactor = Field(
        -1, ge=-1, le=32_767, description="Replication factor of topics that are created."
    )
    compaction_lag_ms: int = Field(
        600_000,
        ge=1_000,
        le=604_800_000,
        description="`min.compaction.lag.ms` of the changelog: must be longer than any time that a partition is without an owner. "
        "The changelog of this time stays uncompacted.",
    )

    # Security
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="Protocol of connections to the brokers."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism. Event Hubs and Confluent Cloud accept PLAIN."
    )
    sasl_username: str | None = Field(None, description="SASL user. Event Hubs: `$ConnectionString`.")
    sasl_password: SecretStr | None = Field(None, description="SASL password.")
    ssl_ca_file: Path | None = Field(
        None,
        description="PEM file of the authorities that sign the brokers' certificates; none = the authorities of the system. "
        "This file, `WORDCOUNT_SSL_CERT_FILE` and `WORDCOUNT_SSL_KEY_FILE` are read again when they change.",
    )
    ssl_cert_file: Path | None = Field(
        None, description="PEM file of this client's certificate and its chain."
    )
    ssl_key_file: Path | None = Field(
        None, description="PEM file of the private key; none = the key is in the certificate's file."
    )
    ssl_key_password: SecretStr | None = Field(None, description="Password of the private key.")
    secrets_dir: Path | None = Field(
        None,
        description="Folder of secret files; the name of a file is the name of its variable, for example `WORDCOUNT_SASL_PASSWORD`. "
        "Passwords are read again when their files change.",
    )

    # Records and words
    value_format: FormatName = Field("text", description="Format of a record's value.")
    json_pointer: JsonPointer = Field(
        "", description="Place of the text in a JSON value; empty = the value itself is a JSON string."
    )
    profile: ProfileName = Field(
        "unicode",
        description="Tokeniser. `java-s`: as Java splits at `\\s`; `whitespace`: split at runs of "
        "Unicode white space, as Python's `str.split`; `unicode`: the words of Unicode annex 29 after NFKC and case folding.",
    )
    stop_words: WordList = Field((), description="Words that are not counted.")
    min_word_length: int = Field(
        1, ge=1, le=16_384, description="Length in characters; shorter words are not counted."
    )
    max_word_length: int | None = Field(
        None, ge=1, le=16_384, description="Length in characters; longer words are not counted."
    )
    max_word_bytes: int = Field(
        _POLICIES.max_word_bytes,
        ge=16,
        le=65_536,
        description="Length in bytes of UTF-8; a longer word is oversized, see `WORDCOUNT_ON_OVERSIZED_WORD`.",
    )
    on_null: CountSkipOrDeadLetter = Field(
        _POLICIES.on_null,
        description="What becomes of a record without a value. `count`: the record is counted as a record without words.",
    )
    on_invalid_utf8: ReplaceSkipOrDeadLetter = Field(
        _POLICIES.on_invalid_utf8,
        description="What becomes of a value that is not UTF-8. `replace`: each invalid sequence becomes U+FFFD.",
    )
    on_invalid_json: SkipOrDeadLetter = Field(
        _POLICIES.on_invalid_json, description="What becomes of a value that is not JSON."
    )
    on_missing_text: SkipOrDeadLetter = Field(
        _POLICIES.on_missing_text,
        description="What becomes of a JSON value without a string at the place that the pointer names.",
    )
    on_oversized_word: SkipOrDeadLetter = Field(
        _POLICIES.on_oversized_word,
        description="What becomes of a word over `WORDCOUNT_MAX_WORD_BYTES`: skip the word, or dead-letter the whole record.",
    )
    max_record_bytes: int = Field(
        _POLICIES.max_record_bytes,
        ge=1_024,
        le=268_435_456,
        description="Length of a record's value in bytes, unpacked; a longer value is never held in memory, see "
        "`WORDCOUNT_ON_OVERSIZED_RECORD`.",
    )
    on_oversized_record: SkipOrDeadLetter = Field(
        _POLICIES.on_oversized_record,
        description="What becomes of a value over `WORDCOUNT_MAX_RECORD_BYTES`. Its dead letter has no value, but says where the "
        "record is and how long its value is.",
    )
    on_empty_word: CountOrSkip = Field(
        _POLICIES.on_empty_word,
        description="What becomes of an empty word; only the profile `java-s` yields empty words.",
    )

    # Windows of event time
    windows: WindowList = Field(
        (),
        description="Windows of event time in which words are counted besides the totals: `1m` = windows of a minute, one after the "
        "other, `1h/5m` = an hour that begins every 5 minutes, added up from panes of 5 minutes when asked. Empty = no windows.",
    )
    drop_windows: WindowList = Field(
        (),
        description="Windows whose counts are removed where `WORDCOUNT_WINDOWS` lacks them or `WORDCOUNT_TIMESTAMP` has changed. A "
        "partition with counts of other windows that would be lost stops: a setting that was forgotten removes nothing.",
    )
    grace: WindowDurations = Field(
        (),
        description="How long after a window late records count in it, in their time. Empty = a tenth of its size, 5 s to 5 min.",
    )
    retention: WindowDurations = Field(
        (),
        description="How long a window is kept after its grace, in the time of the records, at least `WORDCOUNT_MAX_JUMP`. Empty = "
        "1,440 times its size, from 1 to 90 days: a day of minutes, 60 days of hours.",
    )
    max_jump: Jump = Field(
        "1d",
        description="How far the time of a record may be ahead of all times before it in its partition. A record further ahead moves "
        "the time on only if 100 records in a row are, or 10 that extend over this time. Longer than the longest usual pause between "
        "records fits, and as short as that allows: a record ahead by mistake makes the records after it late.",
    )
    timestamp: TimeSource = Field(
        "record",
        description="Time of a record: `record` = the timestamp that its producer or the broker gave it; a JSON pointer = the time in "
        "the document, in ISO 8601 or as a number since 1970, which needs `WORDCOUNT_VALUE_FORMAT=json`.",
    )
    on_late: DropOrDeadLetter = Field(
        _POLICIES.on_late,
        description="What becomes of a record that comes after the grace of a window. It is counted in the totals, and not in that "
        "window; `dead_letter`: a copy of the record is sent, too.",
    )
    on_bad_time: DropOrDeadLetter = Field(
        _POLICIES.on_bad_time,
        description="As `WORDCOUNT_ON_LATE`, for a record that is in no window: its time is missing, unreadable, not from 1990 to "
        "9999, or alone ahead by more than `WORDCOUNT_MAX_JUMP`.",
    )

    # Flushing and state
    state_dir: Path = Field(
        Path(".wordcount/state"),
        description="Folder of the partition stores; only one process at a time may use the folder.",
    )
    flush_interval_ms: int = Field(
        250,
        ge=10,
        le=60_000,
        description="Longest time from reading a record to its durable, visible count, if the partition has caught up.",
    )
    flush_bytes: int = Field(
        8_388_608,
        ge=1_024,
        le=268_435_456,
        description="A partition's buffer is flushed as soon as it holds this many bytes, or earlier if it holds many distinct words.",
    )
    memory_mb: int | None = Field(
        None,
        ge=192,
        le=1_048_576,
        description="MiB of memory that the process may use; bounds buffers, fetches, caches, flushes and restores. None = the least "
        "of 768, three quarters of the container's limit, and half of the machine's memory.",
    )
    vocabulary_words: int = Field(
        1_000_000,
        ge=1,
        le=100_000_000,
        description="Largest number of words whose counts are cached in memory; fewer if `WORDCOUNT_MEMORY_MB` has no room for them.",
    )
    shutdown_timeout_s: int = Field(
        25,
        ge=1,
        le=600,
        description="Time to flush and leave the group at SIGTERM; records that are not flushed by then are read again later.",
    )
    drain_s: int = Field(
        0,
        ge=0,
        le=3600,
        description="Time for which a process goes on after SIGTERM before it begins to stop, unready, each answer the last of its "
        "connection: longer than load balancers take to leave it out. Ctrl-C stops a worker at once.",
    )
    stall_timeout_s: int = Field(
        120,
        ge=5,
        le=86_400,
        description="A worker that counts nothing for this long, although the broker answers and has records, ends with "
        "exit code 75. A worker waits for a broker that does not answer.",
    )

    # HTTP and log
    http_host: str = Field("127.0.0.1", min_length=1, description="Address that HTTP listens on.")
    http_port: int = Field(8080, ge=0, le=65_535, description="Port that HTTP listens on; 0 = any free one.")
    http_allowed_hosts: HostNames = Field(
        (),
        description="Host names by which clients may call the service, for example the name of a Kubernetes Service or a proxy. IP "
        "addresses, `localhost`, `WORDCOUNT_HTTP_HOST`, the host of `WORDCOUNT_ADVERTISED_URL` and this machine's host name are "
        "always allowed. `*.example.org`: every name "
        "below `example.org`; `*`: every name, and then a web page can use DNS rebinding to read answers of the service.",
    )
    advertised_url: HttpUrl | None = Field(
        None,
        description="Where the other workers of the group ask this worker. None = the address and port that HTTP listens on; where "
        "HTTP listens on all addresses, the address from which this machine reaches the brokers.",
    )
    peer_secret: SecretStr | None = Field(
        None,
        description="Secret of all workers of this deployment, at least 16 characters: who asks and who answers prove to each other "
        "that they know it. None = whoever reaches a worker's port may ask as a worker does.",
    )
    standbys: int = Field(
        1,
        ge=0,
        le=10,
        description="Other workers that keep each partition's counts up to date: they answer while a partition moves, and take it "
        "over without a restore. Where there are fewer other workers, all of them do.",
    )
    http_tls_cert_file: Path | None = Field(
        None,
        description="PEM file of the HTTP server's certificate and its chain; none = HTTP without TLS. This file and "
        "`WORDCOUNT_HTTP_TLS_KEY_FILE` are read again when they change. `wordcount top`, `get` and `doctor` trust the certificate of "
        "this file when they ask the worker of these settings, without `--url`.",
    )
    http_tls_key_file: Path | None = Field(
        None,
        description="PEM file of the private key of the HTTP server, without a password; none = the key is in the certificate's file.",
    )
    http_tls_ca_file: Path | None = Field(
        None,
        description="PEM file of the authorities that sign workers' certificates. `wordcount top`, `get` and `doctor` verify a worker "
        "by it, none = by those of the system; workers verify each other by it, none = by exactly their own certificate.",
    )
    tokens_file: Path | None = Field(
        None,
        description="File of the tokens that HTTP requires, a line `<name> <scope>[,<scope>] <token>` for each; scopes are `read`, "
        "`ingest` and `admin`; none = no token is required. The file is read again when it changes. A worker, unlike a view, "
        "then needs `WORDCOUNT_PEER_SECRET`.",
    )
    token: SecretStr | None = Field(
        None, description="Token that `wordcount top`, `get` and `doctor` send to a worker."
    )
    rate_limit_per_s: int | None = Field(
        None,
        ge=1,
        le=100_000,
        description="Requests per second that a client may send over HTTP in the long run, twice as many at once; none = no bound. A "
        "client is the name of a token, else an IP address (of IPv6 the first 64 bits).",
    )
    cors_origins: Origins = Field(
        (),
        description="Origins, such as `https://dashboard.example`, whose pages may read answers in a browser (CORS). `*`: pages of "
        "every origin, so that any page that a person opens can read what this person's computer can reach without a token.",
    )
    query_timeout_ms: int = Field(
        1_000,
        ge=10,
        le=600_000,
        description="Longest time that a query may take, its turn and other workers included, but not the time that it waits by "
        "`wait_ms`; a longer query is answered with 503.",
    )
    stream_clients: int = Field(
        1_000,
        ge=0,
        le=1_500,
        description="Most clients of `/v1/stream` at a time, and never more than three quarters of the connections that HTTP takes; "
        "a further one is answered with 503.",
    )
    watches: Path | None = Field(
        None,
        description="TOML file of watches, see `docs/watches.md`: words that are waited for, and who is told by a webhook when one "
        "occurs more often than allowed. The same file for all workers; none = no watches.",
    )
    ingest: bool = Field(
        False,
        description="Whether workers take texts by `POST /v1/texts` and send them to the input topic, to which they then need the "
        "right to write. Without `WORDCOUNT_TOKENS_FILE` everybody who reaches a worker may send texts. A view takes none.",
    )
    ingest_bytes_per_s: int | None = Field(
        None,
        ge=1_024,
        le=1_000_000_000,
        description="Bytes of texts per second that a client may send by `POST /v1/texts` in the long run, unpacked; none = no bound. "
        "A client that has sent more waits until its mean is that again. Clients are those of `WORDCOUNT_RATE_LIMIT_PER_S`, which "
        "counts the requests.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is logged."
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="Log lines for people, or JSON lines."
    )

    @property
    def topics(self) -> Topics:
        """Names of the input topic, the changelog and the dead-letter topic."""
        return Topics.of(self.group, self.topic)

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object, info: ValidationInfo) -> object:
        if value != "" or info.field_name is None:
            return value
        field = cls.model_fields[info.field_name]
        if field.annotation is Path:  # An empty path would mean the working directory.
            raise ValueError
        return None if field.default is None else value

    @field_validator("processing_guarantee", mode="before")
    @classmethod
    def _refuse_exactly_once(cls, value: object) -> object:
        if value == "exactly_once":
            raise ConfigurationError(
                'WORDCOUNT_PROCESSING_GUARANTEE is "exactly_once", which in Faust loses or doubles counts: Faust does not '
                "drain before it commits, never aborts, and takes the destination partition as transaction id",
                'set it to "exact": counts are exact by positions that are stored with the counts, without transactions',
            )
        return value
