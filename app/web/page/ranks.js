// What words can be counted over, and what is shown of each answer. Nothing here touches the document.

import { capital, number, sizeName, timeText } from "./format.js";

const TOP = 20;

/** The choices for the windows that are counted: [{key, label, query, seconds}], without windows only all words. */
export function choicesOf(sizes) {
  const all = { key: "all", label: "All time", query: `top=${TOP}` };
  const known = sizes.filter(({ newest_closed: newest }) => newest !== null);
  const windows = known.map(({ size, size_seconds: seconds }) => ({
    key: size,
    label: capital(sizeName(size)),
    query: `window=${encodeURIComponent(size)}&top=${TOP}`,
    seconds,
  }));
  const [shortest] = windows;
  const trending = shortest && { key: "trending", label: "Trending", query: `trending&${shortest.query}`, seconds: shortest.seconds };
  return trending ? [all, ...windows, trending] : [all];
}

/** What is shown of an answer: [{word, count, share, hint}]. */
export function rowsOf(body) {
  const weight = ({ count, score }) => score ?? count;
  const most = Math.max(1e-9, ...body.words.map(weight));
  return body.words.map((one) => ({
    word: one.word,
    count: one.count,
    share: weight(one) / most,
    hint: one.score === undefined ? "" : timesText(one),
  }));
}

/** How many times as often as usual a word occurs. */
export function timesText({ count, baseline }) {
  return baseline > 0 ? `${number(count / baseline)} × as often` : "new";
}

/** What has to be said about an answer. */
export function noteOf(body, choice) {
  const said = [];
  if (body.start) {
    const [start, end] = [body.start, body.end].map((time) => timeText(time, choice.seconds));
    said.push(`${start} to ${end}${body.final ? ", final" : ""}.`);
    const holding = Object.keys(body.held_back_by ?? {});
    if (holding.length) said.push(`Partition${holding.length > 1 ? "s" : ""} ${holding.slice(0, 6).join(", ")} hold${holding.length > 1 ? "" : "s"} newer ones back.`);
  } else {
    said.push("All words of the topic, since its beginning.");
  }
  if (!body.words.length) said.push(choice.key === "trending" ? "Nothing occurs more often than usual." : "No word yet.");
  if (!body.exact) {
    said.push(body.max_score === undefined ? `Not proven: another word may occur ${number(body.max_error)} times more often than the last one.`
      : `Not proven: another word may have a score up to ${body.max_score.toFixed(1)}.`);
  }
  return said.join(" ");
}
