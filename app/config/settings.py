"""Every setting of Wordcount, typed and bounded, and the only reader of the environment.

Sources, the first that has a value wins: arguments of `load_settings` (command line flags), variables
`WORDCOUNT_<NAME>`, a file `.env` in the working directory, files in the folder `WORDCOUNT_SECRETS_DIR` that
are named as the variables are (a mounted Kubernetes Secret, or Docker's `/run/secrets`), the default. Names
are matched without regard to case. An empty value is "not given" where the default is none, and else a value.
"""

from __future__ import annotations

import difflib
import json
import os
import re
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal, get_args, get_origin

import annotated_types as bounds
from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import (
    BaseSettings,
    DotEnvSettingsSource,
    PydanticBaseSettingsSource,
    SecretsSettingsSource,
    SettingsConfigDict,
)

from app.config.rules import check_security, check_values
from app.config.types import (
    PREFIX,
    Expected,
    HostNames,
    HostPorts,
    JsonPointer,
    KafkaName,
    ReplicationFactor,
    WordList,
    variable,
)
from tables.errors import ConfigurationError

FORMER_NAMES = {"WORDCOUNT_WINDOW_BYTES": "WORDCOUNT_FLUSH_BYTES"}
"""Settings that were renamed: refused, with the name that they have now."""


class Settings(BaseSettings):
    """All settings. Construct by `load_settings`, whose errors name the variable."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_file=".env", extra="ignore", frozen=True)

    # Kafka
    bootstrap_servers: HostPorts = Field("127.0.0.1:9092", description="Brokers to start from.")
    topic: KafkaName = Field("wordcount-input", description="Input topic.")
    group: KafkaName = Field(
        "wordcount",
        description="Consumer group, and first part of the names of the changelog and dead-letter topics: "
        "`<group>-<topic>-changelog` and `<group>-<topic>-dead-letters`, followed by `-` and the length of the group's name "
        "where that has a hyphen: so no two pairs of group and topic share one.",
    )
    group_instance_id: KafkaName | None = Field(
        None,
        description="Static membership: a name that this worker keeps over restarts, unique in the group. "
        "A restart within the session timeout then moves no partition.",
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
        description="Longest wait for a broker's answer to one request. Then its connection is dropped, and another broker is "
        "asked who leads. A flush or a restore is given twice as long before it is tried again.",
    )
    compression: Literal["none", "gzip", "snappy", "lz4", "zstd"] = Field(
        "snappy",
        description="Compression of what is written: changelog, dead letters, and lines of `produce`. "
        "Event Hubs takes `none` and `gzip`.",
    )
    isolation: Literal["read_committed", "read_uncommitted"] = Field(
        "read_committed",
        description="Whether records of open and aborted transactions of producers are left out.",
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
        description="`min.compaction.lag.ms` of the changelog. It must outlast the time that a partition is "
        "without an owner, and costs that much uncompacted log.",
    )

    # Security
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = Field(
        "PLAINTEXT", description="How to connect to the brokers."
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = Field(
        "SCRAM-SHA-512", description="SASL mechanism. Event Hubs and Confluent Cloud take PLAIN."
    )
    sasl_username: str | None = Field(None, description="SASL user. Event Hubs: `$ConnectionString`.")
    sasl_password: SecretStr | None = Field(None, description="SASL password.")
    ssl_ca_file: Path | None = Field(
        None,
        description="PEM file of the authorities that sign the brokers' certificates; none = the system's. "
        "This file and the two below are read again when they change.",
    )
    ssl_cert_file: Path | None = Field(
        None, description="PEM file of this client's certificate and its chain."
    )
    ssl_key_file: Path | None = Field(
        None, description="PEM file of the private key; none = it is in the certificate's file."
    )
    ssl_key_password: SecretStr | None = Field(None, description="Password of the private key.")
    secrets_dir: Path | None = Field(
        None,
        description="Folder of files named as the variables are, for example `WORDCOUNT_SASL_PASSWORD`. "
        "Passwords are read again when their files change.",
    )

    # Records and words
    value_format: Literal["text", "json"] = Field("text", description="What a record's value is.")
    json_pointer: JsonPointer = Field(
        "", description="Where the text is in a JSON value; empty = the value is itself a JSON string."
    )
    profile: Literal["java-s", "whitespace", "unicode"] = Field(
        "unicode",
        description="Tokeniser. `java-s`: as Java splits at `\\s`; `whitespace`: split at runs of "
        "Unicode white space, as Python's `str.split`; `unicode`: the words of Unicode annex 29 after NFKC and case folding.",
    )
    stop_words: WordList = Field((), description="Words that are not counted.")
    min_word_length: int = Field(1, ge=1, le=16_384, description="Characters; shorter words are not counted.")
    max_word_length: int | None = Field(
        None, ge=1, le=16_384, description="Characters; longer words are not counted."
    )
    max_word_bytes: int = Field(
        16_384,
        ge=16,
        le=65_536,
        description="UTF-8 bytes; a longer word is oversized, see `WORDCOUNT_ON_OVERSIZED_WORD`.",
    )
    on_null: Literal["count", "skip", "dead_letter"] = Field(
        "skip", description="A record without a value. `count`: it counts as a record without words."
    )
    on_invalid_utf8: Literal["replace", "skip", "dead_letter"] = Field(
        "replace", description="A value that is not UTF-8. `replace`: each bad sequence becomes U+FFFD."
    )
    on_invalid_json: Literal["skip", "dead_letter"] = Field(
        "dead_letter", description="A value that is not JSON."
    )
    on_missing_text: Literal["skip", "dead_letter"] = Field(
        "dead_letter", description="A JSON value without a string at the pointer."
    )
    on_oversized_word: Literal["skip", "dead_letter"] = Field(
        "skip",
        description="A word over `WORDCOUNT_MAX_WORD_BYTES`: skip the word, or dead-letter the whole record.",
    )
    max_record_bytes: int = Field(
        16_777_216,
        ge=1_024,
        le=268_435_456,
        description="Bytes of a record's value, unpacked; a longer one is never held in memory, see "
        "`WORDCOUNT_ON_OVERSIZED_RECORD`.",
    )
    on_oversized_record: Literal["skip", "dead_letter"] = Field(
        "dead_letter",
        description="A value over `WORDCOUNT_MAX_RECORD_BYTES`. Its dead letter says where the record is and how long, "
        "and has no value.",
    )
    on_empty_word: Literal["count", "skip"] = Field(
        "count", description="An empty word; only the profile `java-s` yields them."
    )

    # Flushing and state
    state_dir: Path = Field(
        Path(".wordcount/state"), description="Folder of the partition stores; one process at a time uses it."
    )
    flush_interval_ms: int = Field(
        250,
        ge=10,
        le=60_000,
        description="Longest time from reading a record to its durable, visible count when caught up.",
    )
    flush_bytes: int = Field(
        8_388_608,
        ge=1_024,
        le=268_435_456,
        description="A partition's buffer is flushed as soon as it holds this many bytes; sooner where they hold many distinct words.",
    )
    memory_mb: int | None = Field(
        None,
        ge=192,
        le=1_048_576,
        description="MiB of memory that the process may take: buffers, fetches, caches, flushes and restores are bounded "
        "by it. None = 768, or three quarters of the container's limit or half of the machine where that is less.",
    )
    vocabulary_words: int = Field(
        1_000_000,
        ge=1,
        le=100_000_000,
        description="Words whose counts are cached in memory, at most; fewer where `WORDCOUNT_MEMORY_MB` has no room.",
    )
    shutdown_timeout_s: int = Field(
        25,
        ge=1,
        le=600,
        description="Time to flush and leave at SIGTERM; what is not flushed by then is counted again.",
    )
    stall_timeout_s: int = Field(
        120,
        ge=5,
        le=86_400,
        description="A worker that counts nothing for this long, although the broker answers and has records, ends with "
        "exit code 75. A broker that is away is waited for.",
    )

    # HTTP and log
    http_host: str = Field("127.0.0.1", min_length=1, description="Address that HTTP listens on.")
    http_port: int = Field(8080, ge=0, le=65_535, description="Port that HTTP listens on; 0 = any free one.")
    http_allowed_hosts: HostNames = Field(
        (),
        description="Names besides IP addresses, `localhost`, `WORDCOUNT_HTTP_HOST` and this machine's host name that clients may "
        "call the service by, as that of a Kubernetes Service or a proxy. `*.example.org`: every name below; `*`: every name, "
        "also one that a web page makes lead here to read what it must not.",
    )
    query_timeout_ms: int = Field(
        2_000,
        ge=10,
        le=600_000,
        description="Longest time that a query may take, waiting included; then it is answered with 503.",
    )
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        "info", description="Least severe level that is logged."
    )
    log_format: Literal["console", "json"] = Field(
        "console", description="Log lines for people, or JSON lines."
    )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read secret files last, because the sources before say where they are."""
        return init_settings, env_settings, dotenv_settings, _SecretFiles(settings_cls)

    @field_validator("*", mode="before")
    @classmethod
    def _empty_is_none(cls, value: object, info: ValidationInfo) -> object:
        if value != "" or info.field_name is None:
            return value
        field = cls.model_fields[info.field_name]
        if field.annotation is Path:  # which would become the working directory
            raise ValueError
        return None if field.default is None else value

    @field_validator("stop_words", "http_allowed_hosts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(word.strip() for word in value.split(",") if word.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("processing_guarantee", mode="before")
    @classmethod
    def _refuse_exactly_once(cls, value: object) -> object:
        if value == "exactly_once":
            raise ConfigurationError(
                'WORDCOUNT_PROCESSING_GUARANTEE is "exactly_once", which in Faust loses or doubles counts: '
                "it does not drain before it commits, never aborts, and takes the destination partition as "
                "transaction id",
                'leave it at "exact": counts are exact by positions stored with them, without transactions',
            )
        return value

    @model_validator(mode="after")
    def _check_together(self) -> Settings:
        check_values(self)
        check_security(self)
        return self


class _SecretFiles(SecretsSettingsSource):
    """Secret files in the folder that the sources before this one name."""

    def __call__(self) -> dict[str, Any]:
        folder = self.current_state.get("secrets_dir")
        if not folder:
            return {}
        if not Path(folder).is_dir():
            raise ConfigurationError(
                f'WORDCOUNT_SECRETS_DIR is "{folder}", which is not a folder',
                "name the folder of the secret files",
            )
        _refuse_unknown([path.name for path in Path(folder).iterdir()], "a file in WORDCOUNT_SECRETS_DIR")
        self.secrets_dir = folder
        return super().__call__()


def load_settings(**overrides: object) -> Settings:
    """Read all sources and check them.

    Args:
        overrides: values by field name that win over every source; None = not given.

    Raises:
        ConfigurationError: names every bad variable with its value and what is expected, on one line.
        TypeError: an override that is not a setting.
    """
    if unknown := overrides.keys() - Settings.model_fields.keys():
        raise TypeError(f"not settings: {', '.join(sorted(unknown))}")
    given: dict[str, Any] = {name: value for name, value in overrides.items() if value is not None}
    try:
        _refuse_unknown(list(os.environ), "an environment variable")
        _refuse_unknown(list(DotEnvSettingsSource(Settings).env_vars), "in the file .env")
        return Settings(**given)
    except ValidationError as invalid:
        problems = [_problem(str(error["loc"][0]), error["input"]) for error in invalid.errors()]
        raise ConfigurationError("; ".join(problems)) from None
    except (OSError, UnicodeDecodeError) as unreadable:
        raise ConfigurationError(
            f"settings cannot be read: {unreadable}", "mend or remove that file"
        ) from None


def expectation(field: FieldInfo) -> str:
    """What a good value of a field is, in a few words."""
    for mark in field.metadata:
        if isinstance(mark, Expected):
            return str(mark)
    kind = _without_none(field.annotation)
    if get_origin(kind) is Annotated:
        return next(mark for mark in get_args(kind) if isinstance(mark, Expected))
    if get_origin(kind) is Literal:
        choices = get_args(kind)
        return f"one of {', '.join(choices)}" if len(choices) > 1 else f'"{choices[0]}"'
    if kind is bool:
        return "true or false"
    if kind is int:
        low = next(mark.ge for mark in field.metadata if isinstance(mark, bounds.Ge))
        high = next(mark.le for mark in field.metadata if isinstance(mark, bounds.Le))
        return f"a whole number from {low} to {high}"
    return "a path that is not empty" if kind is Path else "a text that is not empty"


def is_secret(field: FieldInfo) -> bool:
    """Whether values of a field must never be shown."""
    return _without_none(field.annotation) is SecretStr


def _without_none(annotation: Any) -> Any:
    members = [member for member in get_args(annotation) if member is not NoneType]
    return members[0] if NoneType in get_args(annotation) else annotation


def _problem(name: str, value: object) -> str:
    field = Settings.model_fields[name]
    shown = "***" if is_secret(field) else json.dumps(str(value), ensure_ascii=False)[:120]
    return f"{variable(name)} is {shown}, expected {expectation(field)}"


def _refuse_unknown(names: list[str], where: str) -> None:
    known = list(Settings.model_fields)
    for name in sorted(names):
        if not name.upper().startswith(PREFIX) or name.lower().removeprefix(PREFIX.lower()) in known:
            continue
        if re.match(r"WORDCOUNT_(.*_)?(SERVICE_HOST|SERVICE_PORT|PORT)(_|$)", name):
            remedy = "Kubernetes adds such variables for a Service: set enableServiceLinks: false in the pod"
        elif former := FORMER_NAMES.get(name.upper()):
            remedy = f"its name is {former} now"
        elif close := difflib.get_close_matches(name.lower().removeprefix(PREFIX.lower()), known, n=1):
            remedy = f"did you mean {variable(close[0])}?"
        else:
            remedy = "remove it; docs/reference/settings.md lists what there is"
        raise ConfigurationError(f"{name.upper()} ({where}) is not a setting", remedy)
