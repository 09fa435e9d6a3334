"""The trials of the mutants: within how many schedules, and with which bias, the simulation has to catch each mutant."""

from dataclasses import dataclass

from tests.simulation import mutants
from tests.simulation.plan import SHARED, USUAL, Bias
from tests.simulation.simulator import Mutate


@dataclass(frozen=True, slots=True)
class Trial:
    """How a mutant has to be caught.

    Attributes:
        rule: the rule of ARCHITECTURE.md that the mutant breaks.
        seeds: largest number of schedules that may be tried.
        bias: bias of the schedules.
        first: seed at which the search begins; a search that would take long begins at a recorded seed.
        honour_lag: see `Schedule`.
    """

    rule: int
    seeds: int = 100
    bias: Bias = USUAL
    first: int = 0
    honour_lag: bool = True


LATE = Bias(
    {"delayed_arrives": 0, "crash": 8, "replace_topic": 0}, fault_rates=(0.05,), late_rate=0.0, words=16
)
"""Delayed requests arrive only at the end, when the position of every owner is far beyond them."""


HEALING = Bias(
    {
        "fence": 10,
        "wake": 4,
        "delayed_arrives": 4,
        "compact": 40,
        "crash": 6,
        "append": 20,
        "replace_topic": 0,
        "read": 0,
    },
    fault_rates=(0.05,),
    late_rate=0.9,
    words=16,
    wordless=0.0,
    stopping=0.0,
)
"""Many zombies, whose records arrive between the records of other processes; and words that seldom occur again soon."""


BREAKING = Bias({"break_disk": 12, "rebalance": 15, "replace_topic": 0})
"""Staging of rows fails often while partitions are assigned and revoked."""


BELATED = Bias({"replace_topic": 0}, fault_rates=(0.1,), delivered=0.5)
"""Many polls are delivered only after the next seek."""


UNPLANTED = {1, 13, 15, 16}
"""Rules of ARCHITECTURE.md that only unit and integration tests check: the simulation cannot break such a rule alone."""

MUTANTS: dict[Mutate, Trial] = {
    mutants.position_outside_the_atomic_write: Trial(6),
    mutants.large_flush_over_unwritten_small_ones: Trial(8, seeds=300),
    mutants.store_written_before_the_acknowledgement: Trial(3),
    mutants.marker_first: Trial(3),
    mutants.latest_row_wins_in_a_replay: Trial(9),
    mutants.cache_updated_before_the_commit: Trial(6),
    mutants.cache_left_behind_by_a_cancelled_commit: Trial(6),
    mutants.leaders_not_told_of_flushes: Trial(6),
    mutants.a_bound_that_others_exceed: Trial(6),
    mutants.top_from_a_cache_behind_the_store: Trial(6),
    mutants.top_words_kept_through_a_commit: Trial(6),
    mutants.top_words_kept_while_a_commit_is_under_way: Trial(6),
    mutants.failed_staging_ends_a_cancelled_flush_otherwise: Trial(9, seeds=300, bias=BREAKING),
    mutants.threads_not_waited_for: Trial(6),
    mutants.restores_move_only_where_they_write: Trial(9),
    mutants.adopted_flushes_not_told: Trial(9),
    mutants.cancelled_flushes_not_told: Trial(6),
    mutants.unsettled_flushes_forgotten_by_a_rebuild: Trial(9),
    mutants.unsettled_flushes_forgotten_by_a_restore: Trial(9, seeds=300),
    mutants.foreign_records_ignored: Trial(4, seeds=300, bias=LATE),
    mutants.stale_rows_not_healed: Trial(11, seeds=300),
    mutants.healing_not_examined_itself: Trial(11, seeds=100, bias=HEALING, first=1100),
    mutants.examined_before_healed: Trial(11, seeds=100, bias=HEALING, first=200),
    mutants.ahead_forgotten_by_the_store: Trial(10),
    mutants.rows_ahead_counted_again: Trial(10),
    mutants.rows_ahead_skipped_by_whole_batches: Trial(10),
    mutants.rows_that_end_in_a_hole_counted_again: Trial(10, seeds=300),
    mutants.torn_rows_shown_to_readers: Trial(10),
    mutants.batches_beyond_a_gap_taken_in: Trial(2, seeds=100, bias=BELATED),
    mutants.ownership_not_proven: Trial(5),
    mutants.ownership_taken_from_an_accepted_commit_alone: Trial(5, seeds=300),
    mutants.position_taken_from_the_offset_of_the_group: Trial(7),
    mutants.counts_shown_before_they_are_durable: Trial(6),
    mutants.changelog_of_another_deployment_adopted: Trial(12, bias=SHARED),
    mutants.compaction_ahead_of_the_examination: Trial(
        14, seeds=100, bias=HEALING, first=400, honour_lag=False
    ),
}
