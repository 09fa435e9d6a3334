"""Event time in the simulation: the times of records, and the rules of windows that processes have."""

from random import Random

from tables.model.windows import SizeRule, WindowRules

BASE_MS = 1_700_000_000_000
MAX_JUMP_MS = 10_000
CONFIRMING_RECORDS = 3
SPREAD_RECORDS = 2
RULES = WindowRules((SizeRule(2, 1, 3), SizeRule(6, 0, 12)), MAX_JUMP_MS)
"""Small windows that are soon closed and gone."""

CHANGED_RULES = (
    RULES,
    WindowRules((SizeRule(2, 6, 3), SizeRule(6, 4, 12)), MAX_JUMP_MS),
    WindowRules((SizeRule(2, 0, 3), SizeRule(6, 0, 12)), MAX_JUMP_MS),
    WindowRules((SizeRule(2, 1, 0), SizeRule(6, 0, 2)), MAX_JUMP_MS),
    WindowRules((SizeRule(2, 1, 30), SizeRule(6, 0, 60)), MAX_JUMP_MS),
    WindowRules(RULES.sizes, 4_000),
    WindowRules(RULES.sizes, 1_000 * MAX_JUMP_MS),
    WindowRules((SizeRule(2, 1, 3), SizeRule(3, 2, 9), SizeRule(6, 0, 12)), MAX_JUMP_MS),
    WindowRules((SizeRule(6, 0, 12),), MAX_JUMP_MS),
    WindowRules(),
)
"""What the rules may be changed to: a longer or shorter grace or retention, another longest jump, more sizes, fewer, none."""

MISSING = -1
TOO_OLD_MS = 5


class Times:
    """Makes the times of the records of one partition: mostly ascending, some late, some far ahead, some impossible; quiet weeks."""

    def __init__(self) -> None:
        self._now_ms = BASE_MS

    def next(self, random: Random) -> int:
        kind = random.random()
        if kind < 0.04:
            self._now_ms += random.randint(1, 4) * MAX_JUMP_MS
        self._now_ms += random.choice([0, 100, 500, 1500])
        match kind:
            case _ if 0.05 < kind < 0.09:
                return self._now_ms + random.randint(1, 400) * MAX_JUMP_MS
            case _ if 0.10 < kind < 0.13:
                return random.choice([MISSING, TOO_OLD_MS])
            case _ if 0.15 < kind < 0.35:
                return self._now_ms - random.choice([500, 1500, 3000, 8000, 20_000])
        return self._now_ms
