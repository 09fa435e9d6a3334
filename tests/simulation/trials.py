"""The trials of the mutants: within how many schedules, and with which bias, the simulation has to catch each mutant."""

from dataclasses import dataclass, replace

from tests.simulation import follower_mutants, id_mutants, mutants, rule_mutants, window_mutants
from tests.simulation.plan import PLAIN, SHARED, Bias
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
    bias: Bias = PLAIN
    first: int = 0
    honour_lag: bool = True


LATE = Bias(
    {"delayed_arrives": 0, "crash": 8, "replace_topic": 0},
    fault_rates=(0.05,),
    late_rate=0.0,
    words=16,
    standbys=(0.0,),
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
    standbys=(0.0,),
    stopping=0.0,
)
"""Many zombies, whose records arrive between the records of other processes; and words that seldom occur again soon."""


BREAKING = Bias({"break_disk": 12, "rebalance": 15, "replace_topic": 0})
"""Staging of rows fails often while partitions are assigned and revoked."""


BELATED = Bias({"replace_topic": 0}, fault_rates=(0.1,), delivered=0.5)
"""Many polls are delivered only after the next seek."""


ALONE = Bias(standbys=(0.0,))
"""Nobody follows a partition."""


FOLLOWED = Bias({"replace_topic": 0}, standbys=(1.0,))
"""Every process follows every partition that it does not own."""


HEALING_FOLLOWED = replace(HEALING, standbys=(1.0,))
"""As `HEALING`, and every process follows every partition that it does not own."""


OVERTAKEN = Bias(
    {"compact": 20, "crash": 14, "replace_topic": 0, "read": 0},
    fault_rates=(0.01,),
    length=(60, 120),
    wordless=0.0,
    standbys=(1.0,),
    stopping=0.0,
)
"""Compaction is everywhere where no follower was of late, and many followers begin with nothing."""


FROZEN = Bias({"fence": 12, "replace_topic": 0}, standbys=(1.0,))
"""Many processes that believe for a while that they own what another process owns."""


WINDOWED = Bias(windowed=1.0)
"""Windows are counted in every schedule."""


CHANGED = Bias(
    {"crash": 8, "replace_topic": 0},
    fault_rates=(0.1,),
    wordless=0.0,
    standbys=(0.0,),
    windowed=1.0,
    changing=1.0,
)
"""The rules of windows change in every schedule, and many flushes are torn."""


IDENTIFIED = Bias({"crash": 8, "replace_topic": 0}, fault_rates=(0.1,), standbys=(0.0, 1.0), identified=1.0)
"""Some records have ids in every schedule, and many flushes are torn."""


UNPLANTED = {1, 13, 15, 16}
"""Rules of ARCHITECTURE.md that only unit and integration tests check: the simulation cannot break such a rule alone."""

MUTANTS: dict[Mutate, Trial] = {
    mutants.position_outside_the_atomic_write: Trial(6),
    mutants.large_flush_over_unwritten_small_ones: Trial(8, seeds=300, first=25),
    mutants.store_written_before_the_acknowledgement: Trial(3),
    mutants.marker_first: Trial(3),
    mutants.latest_row_wins_in_a_replay: Trial(9, seeds=400, first=40),
    mutants.cache_updated_before_the_commit: Trial(6),
    mutants.cache_left_behind_by_a_cancelled_commit: Trial(6),
    mutants.leaders_not_told_of_flushes: Trial(6),
    mutants.leaders_noted_before_they_are_known: Trial(6),
    mutants.a_bound_that_others_exceed: Trial(6),
    mutants.top_from_a_cache_behind_the_store: Trial(6, first=35),
    mutants.top_words_kept_through_a_commit: Trial(6),
    mutants.top_words_kept_while_a_commit_is_under_way: Trial(6),
    mutants.failed_staging_ends_a_cancelled_flush_otherwise: Trial(9, seeds=300, bias=BREAKING, first=28),
    mutants.threads_not_waited_for: Trial(6),
    mutants.restores_move_only_where_they_write: Trial(9, first=14),
    mutants.adopted_flushes_not_told: Trial(9),
    mutants.cancelled_flushes_not_told: Trial(6, first=52),
    mutants.unsettled_flushes_forgotten_by_a_rebuild: Trial(9),
    mutants.unsettled_flushes_forgotten_by_a_restore: Trial(9, seeds=300, first=14),
    mutants.foreign_records_ignored: Trial(4, seeds=300, bias=LATE),
    mutants.stale_rows_not_healed: Trial(11, seeds=300, first=40),
    mutants.healing_not_examined_itself: Trial(11, seeds=100, bias=HEALING, first=5340),
    mutants.examined_before_healed: Trial(11, seeds=100, bias=HEALING, first=1238),
    mutants.ahead_forgotten_by_the_store: Trial(10),
    mutants.rows_ahead_counted_again: Trial(10),
    mutants.rows_ahead_skipped_by_whole_batches: Trial(10),
    mutants.rows_that_end_in_a_hole_counted_again: Trial(10, seeds=300, bias=ALONE, first=64),
    mutants.torn_rows_shown_to_readers: Trial(10),
    mutants.batches_beyond_a_gap_taken_in: Trial(2, seeds=100, bias=BELATED),
    mutants.ownership_not_proven: Trial(5),
    mutants.ownership_taken_from_an_accepted_commit_alone: Trial(5, seeds=300),
    mutants.position_taken_from_the_offset_of_the_group: Trial(7),
    mutants.counts_shown_before_they_are_durable: Trial(6),
    mutants.changelog_of_another_deployment_adopted: Trial(12, bias=SHARED),
    follower_mutants.rows_of_followers_shown_before_their_marker: Trial(17, bias=FOLLOWED),
    follower_mutants.position_of_followers_taken_from_foreign_markers: Trial(17, seeds=300, bias=FOLLOWED),
    follower_mutants.followers_past_what_has_to_be_healed: Trial(17, bias=HEALING_FOLLOWED, first=1314),
    follower_mutants.followers_overtaken_by_compaction: Trial(17, seeds=300, bias=OVERTAKEN, first=35),
    follower_mutants.stores_that_followers_have_filled_taken_for_empty: Trial(17, seeds=300, bias=FOLLOWED),
    follower_mutants.followers_that_have_read_but_not_written_taken_for_newest: Trial(
        18, bias=FOLLOWED, first=640
    ),
    follower_mutants.followers_taken_for_newest_wherever_they_are: Trial(18, bias=FOLLOWED),
    follower_mutants.owners_taken_for_newest_during_a_flush: Trial(18, bias=FOLLOWED, first=220),
    follower_mutants.owners_that_begin_their_time_when_the_marker_is_acknowledged: Trial(
        18, seeds=300, bias=FOLLOWED, first=78
    ),
    follower_mutants.followers_that_show_a_flush_at_once: Trial(18, seeds=100, bias=FOLLOWED, first=255),
    follower_mutants.owners_taken_for_newest_after_their_lease: Trial(18, seeds=100, bias=FROZEN, first=588),
    follower_mutants.answers_of_two_owners_added_up: Trial(18, bias=FOLLOWED),
    window_mutants.late_decided_by_the_cut_of_batches: Trial(19, bias=WINDOWED),
    window_mutants.event_time_forgotten_by_the_marker: Trial(19, bias=WINDOWED),
    window_mutants.jumps_forgotten_by_the_marker: Trial(19, bias=WINDOWED),
    window_mutants.one_record_moves_the_stream_time: Trial(19, bias=WINDOWED),
    window_mutants.expired_rows_come_back: Trial(20, bias=WINDOWED),
    window_mutants.confirmed_rows_stay_where_they_are: Trial(19, bias=WINDOWED, first=15),
    window_mutants.confirmed_rows_counted_again_after_a_torn_flush: Trial(19, bias=WINDOWED, first=245),
    window_mutants.panes_of_a_torn_flush_counted_twice: Trial(19, bias=WINDOWED),
    window_mutants.panes_taken_for_empty_after_a_restore: Trial(19, bias=WINDOWED),
    window_mutants.pane_counts_kept_through_a_restore: Trial(19, bias=WINDOWED, first=38),
    window_mutants.forgotten_panes_taken_for_empty: Trial(19, bias=WINDOWED),
    window_mutants.pane_counts_updated_before_the_commit: Trial(19, bias=WINDOWED),
    window_mutants.tombstones_before_their_marker: Trial(20, bias=WINDOWED),
    window_mutants.a_range_too_long_is_cleared: Trial(20, bias=WINDOWED),
    window_mutants.open_windows_taken_for_closed: Trial(19, bias=WINDOWED),
    window_mutants.notes_without_the_last_flush: Trial(19, bias=WINDOWED, first=265),
    window_mutants.rows_of_a_jump_not_shown: Trial(19, bias=WINDOWED, first=8),
    rule_mutants.rules_taken_while_rows_are_ahead: Trial(19, bias=CHANGED, first=345),
    rule_mutants.a_longer_jump_refutes_the_pending_one: Trial(19, bias=CHANGED, first=185),
    rule_mutants.rows_come_back_with_their_size: Trial(19, bias=CHANGED),
    rule_mutants.a_longer_retention_brings_windows_back: Trial(20, bias=CHANGED, first=100),
    id_mutants.repeats_recognised_within_a_buffer_alone: Trial(21, bias=IDENTIFIED),
    id_mutants.every_known_id_taken_for_a_repeat: Trial(21, bias=IDENTIFIED),
    id_mutants.the_generation_before_not_asked: Trial(21, bias=IDENTIFIED),
    id_mutants.numbers_of_ids_forgotten_by_the_marker: Trial(21, bias=IDENTIFIED),
    id_mutants.ids_removed_a_generation_too_early: Trial(21, bias=IDENTIFIED),
    id_mutants.ids_removed_by_the_marker_that_is_being_written: Trial(21, bias=IDENTIFIED),
    mutants.compaction_ahead_of_the_examination: Trial(
        14, seeds=100, bias=HEALING, first=700, honour_lag=False
    ),
}
