"""Tables with one rule left out are caught: otherwise the simulation would show nothing."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rocksdict import Cache

from tables.errors import StoreCorruptedError
from tables.model.rows import Marker, StoreState
from tables.store.partition_store import PartitionStore
from tables.store.snapshot import StoreSnapshot
from tests.fakes.rows import pack_row
from tests.simulation.simulator import Mutate, simulate
from tests.simulation.trials import MUTANTS, UNPLANTED
from tests.simulation.wrong_error import WrongError

ARCHITECTURE = Path(__file__).parents[2] / "ARCHITECTURE.md"


@pytest.mark.slow
@pytest.mark.parametrize("mutate", MUTANTS, ids=lambda mutate: mutate.__name__)
def test_a_mutant_is_caught(mutate: Mutate, record_schedules: Callable[[str, int], None]) -> None:
    trial = MUTANTS[mutate]
    name = f"{mutate.__name__}{f', from seed {trial.first} on' if trial.first else ''}"
    with pytest.raises(WrongError) as caught:
        for schedules, seed in enumerate(range(trial.first, trial.first + trial.seeds), 1):
            record_schedules(name, schedules)
            simulate(seed, mutate, bias=trial.bias, honour_lag=trial.honour_lag)
    # A planted bug that does not fit the code any more breaks every schedule, and shows nothing.
    assert not re.search(r"\b(Type|Attribute|Name)Error\b", str(caught.value))


def test_each_rule_of_exactness_is_left_out_once() -> None:
    rules = ARCHITECTURE.read_text("utf-8").split("## Rules of exactness")[1].split("\n## ")[0]
    numbers = {int(number) for number in re.findall(r"^(\d+)\. \*\*", rules, re.MULTILINE)}
    assert numbers == {trial.rule for trial in MUTANTS.values()} | UNPLANTED
    assert not UNPLANTED & {trial.rule for trial in MUTANTS.values()}


def test_an_ignored_iterator_status_is_caught(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = [b"%06d" % number for number in range(50_000)]
    store = PartitionStore(tmp_path / "store", Cache(1 << 20))
    marker = Marker(topic="input", profile="whitespace/1", origin=0, position=1)
    store.commit(
        store.stage(words, [pack_row(1, 1)] * len(words)),
        StoreState(marker=marker, examined=1, max_upto=1),
    )
    store.close()
    (table,) = (tmp_path / "store").glob("*.sst")
    damaged = bytearray(table.read_bytes())
    damaged[len(damaged) // 2] ^= 0xFF
    table.write_bytes(damaged)
    store = PartitionStore(tmp_path / "store", Cache(1 << 20))
    with pytest.raises(StoreCorruptedError), store.snapshot() as view:
        view.scan(b"", len(words))
    monkeypatch.setattr(StoreSnapshot, "_check", lambda view: None)
    with store.snapshot() as view:
        assert len(view.scan(b"", len(words))) < len(words), (
            "without the status rows would be missing silently"
        )
    store.abandon()
