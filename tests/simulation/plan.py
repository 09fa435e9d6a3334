"""The plan of a seed, made before anything runs: a world, and steps whose randomness does not change when other steps are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

from tests.simulation.event_time import CHANGED_RULES

SHORT_S = [0, 0.01, 0.1, 0.3, 0.3]
LONG_S = [0.5, 2.0, 40.0]
WEIGHTS = {
    "append": 24,
    "poll": 40,
    "wait": 10,
    "compact": 8,
    "delayed_arrives": 10,
    "crash": 4,
    "rebalance": 5,
    "fence": 3,
    "wake": 3,
    "break_disk": 2,
    "replace_topic": 0,
    "intrude": 0,
    "read": 6,
}


@dataclass(frozen=True, slots=True)
class Bias:
    """How frequent steps and faults are in the schedules.

    Attributes:
        weights: weights of steps that replace those in `WEIGHTS`.
        fault_rates: the plan chooses one value as the probability of each fault at each place.
        late_rate: probability that a former producer's request arrives just before a request of the owner.
        words: number of distinct words, at most 26.
        wordless: share of the schedules in which nearly all records have no words, so that only markers show the position.
        length: fewest and most steps, both inclusive.
        stopping: share of the threads that stop at their breaths.
        breaths_s: possible lengths of a stop, in virtual seconds.
        standbys: the plan chooses one value as the probability that a process follows a partition that it does not own.
        delivered: probability that a poll is delivered at once, and not only after the next poll.
        windowed: probability that windows are counted, too.
        changing: probability that the rules of windows change, where windows are counted.
        identified: probability that some records have ids.
        brief: fewest and most steps of seven in eight schedules of `make test`, with seeds below `BRIEF_SEEDS`; None = as `length`.
    """

    weights: Mapping[str, int] = field(default_factory=dict)
    fault_rates: Sequence[float] = (0.01, 0.03, 0.1)
    late_rate: float = 0.2
    words: int = 8
    wordless: float = 1 / 8
    length: tuple[int, int] = (40, 120)
    stopping: float = 0.15
    breaths_s: Sequence[float] = (0.0, 0.0, 0.0, 0.01, 0.3, 2.0)
    standbys: Sequence[float] = (0.0, 0.5, 1.0)
    delivered: float = 0.9
    windowed: float = 0.0
    changing: float = 0.0
    identified: float = 0.0
    brief: tuple[int, int] | None = None


BRIEF_SEEDS = 3160
"""Number of the schedules of `make test`: most are brief, so that there is time for many; all others are long."""

PLAIN = Bias()
"""Schedules without windows and ids."""

USUAL = Bias(windowed=0.95, changing=0.3, identified=0.5, brief=(16, 56))
SHARED = Bias({"intrude": 3, "replace_topic": 0})
"""Schedules in which another deployment writes to the changelog, because its changelog has an equal name."""


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a schedule.

    Attributes:
        number: number of the step in its plan, from 0.
        name: name of the method of `Schedule` that takes the step, without its underscore.
        stream: seed of all random choices from this step to the next step.
        pause_s: virtual seconds that pass after the step.
        rules: place in `CHANGED_RULES` of the rules of windows with which all processes are started again; None = nothing is changed.
    """

    number: int
    name: str
    stream: int
    pause_s: float
    rules: int | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The world of a seed and its steps.

    Attributes:
        starts: first offset of each partition of the input.
        machines: number of machines.
        fault_rate: probability of each fault at each place.
        wordless: probability that a record is made without words; other records may have no words by chance.
        restore_bytes: bytes of changelog records that a restore holds in memory.
        standbys: probability that a process follows a partition that it does not own; with 0 nobody asks for newest answers either.
        held_bytes: bytes of changelog records that a follower holds in memory.
        windowed: whether windows are counted, too.
        changing: whether the rules of windows change.
        identified: whether some records have ids.
        ends_slowly: whether the last restore, when nothing fails any more, is slow.
        stream: seed of all random choices before the first step and after the last step.
    """

    seed: int
    bias: Bias
    starts: Sequence[int]
    machines: int
    fault_rate: float
    wordless: float
    restore_bytes: int
    standbys: float
    held_bytes: int
    ends_slowly: bool
    windowed: bool
    changing: bool
    identified: bool
    stream: int
    steps: Sequence[Step]

    @classmethod
    def of(cls, seed: int, bias: Bias = USUAL) -> Plan:
        random = Random(seed)
        apart = Random(-seed - 1)
        weights = {**WEIGHTS, **bias.weights}
        replaces = "replace_topic" not in bias.weights and random.random() < REPLACING
        if replaces:
            weights["replace_topic"] = 2
        length = bias.brief if bias.brief is not None and seed < BRIEF_SEEDS and seed % 8 else bias.length
        names = random.choices([*weights], [*weights.values()], k=random.randint(*length))
        windowed = Random(~seed).random() < bias.windowed
        changes = _changes(seed, len(names)) if windowed and _changing(seed).random() < bias.changing else {}
        return cls(
            seed=seed,
            bias=bias,
            starts=[random.choice([0, 0, 7]) for _ in range(random.choice([1, 1, 2]))],
            machines=random.choice([1, 2, 2, 3]),
            fault_rate=random.choice(bias.fault_rates),
            wordless=0.9 if random.random() < bias.wordless else 0.0,
            restore_bytes=random.choice([1, 120, 1 << 20]),
            standbys=apart.choice(bias.standbys),
            held_bytes=apart.choice([1, 120, 1 << 20]),
            ends_slowly=seed % 4 == 0,
            windowed=windowed,
            changing=bool(changes),
            identified=Random(f"ids of {seed}").random() < bias.identified,
            stream=random.getrandbits(32),
            steps=[
                Step(
                    number,
                    name,
                    random.getrandbits(32),
                    random.choice(LONG_S if name == "wait" else SHORT_S),
                    changes.get(number),
                )
                for number, name in enumerate(names)
            ],
        )


def _changing(seed: int) -> Random:
    return Random(f"rules of {seed}")


def _changes(seed: int, steps: int) -> Mapping[int, int]:
    """Return the steps at which the rules of windows change, and the places of the new rules."""
    random = _changing(seed)
    random.random()
    numbers = random.sample(range(steps), k=random.randint(1, MOST_CHANGES))
    return {number: random.randrange(len(CHANGED_RULES)) for number in numbers}


MOST_CHANGES = 5
"""Most changes of the rules of windows in a schedule."""

REPLACING = 0.1
"""Share of the schedules in which a topic may be deleted and created again."""


def ranges(numbers: Sequence[int]) -> str:
    """Return ascending numbers as text, for example `1-3,7`."""
    texts: list[str] = []
    for number in numbers:
        first, _, last = texts[-1].partition("-") if texts else ("", "", "")
        if texts and number == int(last or first) + 1:
            texts[-1] = f"{first}-{number}"
        else:
            texts.append(str(number))
    return ",".join(texts)


def numbers(text: str) -> list[int]:
    """Return the numbers of a text such as `1-3,7`. Raise ValueError if the text has another form."""
    found: list[int] = []
    for part in text.split(",") if text else []:
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found
