// What became of every record, made of the answer of `/v1/stats`: rows to show. Nothing here touches the document.

const MEANING = {
  null: "the record has no value",
  invalid_utf8: "the value is not UTF-8",
  invalid_json: "the value is no JSON document",
  missing_text: "the document has no text at the pointer",
  oversized_word: "a word is too long",
  oversized_record: "the record is too large",
  stop_word: "stop words",
  too_short: "words that are too short",
  too_long: "words that are too long",
  empty: "empty words",
  oversized: "oversized words",
  missing_time: "the record has no time",
  unreadable_time: "the time cannot be read",
  impossible_time: "the time is impossible",
  jumped_ahead: "the time jumps too far ahead",
};

export function meaning(reason) {
  return MEANING[reason] ?? reason.replaceAll("_", " ");
}

const sum = (byReason) => Object.values(byReason).reduce((a, b) => a + b, 0);

/** {records, counted, skipped, dead}: `records` is the sum of the others. */
export function sumsOf({ records, counted, skipped, dead_lettered: dead }) {
  return { records, counted, skipped: sum(skipped), dead: sum(dead) };
}

/** Rows by reason: {reason, fate, count, unit}, dead letters first, each kind by number. */
export function reasonsOf(stats) {
  const rows = (byReason, fate, unit, name = meaning) =>
    Object.entries(byReason).filter(([, count]) => count > 0).sort((a, b) => b[1] - a[1]).map(([reason, count]) => ({ reason: name(reason), fate, count, unit }));
  const late = {}, untimed = {};
  for (const partition of Object.values(stats.partitions)) {
    for (const [size, count] of Object.entries(partition.late ?? {})) late[size] = (late[size] ?? 0) + count;
    for (const [reason, count] of Object.entries(partition.untimed ?? {})) untimed[reason] = (untimed[reason] ?? 0) + count;
  }
  return [
    ...rows(stats.dead_lettered, "dead letter", "records"),
    ...rows(stats.skipped, "skipped", "records"),
    ...rows(stats.dropped_words, "left out of counted records", "words"),
    ...rows(late, "in the totals only", "records", (size) => `too late for a window of ${size}`),
    ...rows(untimed, "in the totals only", "records"),
  ];
}
