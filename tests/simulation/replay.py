"""`make simulate SEED=… [STEPS=…]`: repeats one schedule, or some of its steps, and prints what happens.

python -m tests.simulation.replay 17 3-9,41
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

from tests.simulation.plan import USUAL, Bias, Plan, Step, numbers, ranges
from tests.simulation.shrink import LIMIT_S, shrink
from tests.simulation.simulator import Mutate, simulate
from tests.simulation.wrong_error import WrongError


def steps_of(seed: int, text: str, bias: Bias = USUAL) -> list[Step]:
    """Return the steps of a seed whose numbers `text` lists, for example `3-9,41`."""
    plan = Plan.of(seed, bias)
    return [plan.steps[number] for number in numbers(text)]


def command(seed: int, steps: Sequence[Step]) -> str:
    """Return the shell command that repeats these steps of a seed."""
    return f"make simulate SEED={seed} STEPS={ranges([step.number for step in steps])}"


def shrunk(
    seed: int,
    error: WrongError,
    mutate: Mutate | None = None,
    *,
    bias: Bias = USUAL,
    limit_s: float = LIMIT_S,
) -> WrongError:
    """Return the failure of the fewest found steps that break the promise of `error`; a note has the command that repeats them."""
    found = error

    def fails(steps: Sequence[Step]) -> bool:
        nonlocal found
        try:
            simulate(seed, mutate, bias=bias, steps=steps)
        except WrongError as other:
            if other.promise == error.promise:
                found = other
                return True
        return False

    # Steps after the failure are left out first. If the promise broke after the last step, these steps alone may not break it again.
    if fails(error.steps):
        shrink(error.steps, fails, limit_s)
    found.add_note(f"again: {command(seed, found.steps)}")
    return found


def main() -> None:
    """Repeat the schedule that the arguments name, and print its trace; end with exit code 1 if a promise is broken."""
    seed, text = int(sys.argv[1]), "".join(sys.argv[2:])
    try:
        print("\n".join(simulate(seed, steps=steps_of(seed, text) if text else None)))
    except WrongError as error:
        if not text:
            error = shrunk(seed, error)
        print("\n".join([str(error), *getattr(error, "__notes__", ())]))
        sys.exit(1)


if __name__ == "__main__":
    main()
