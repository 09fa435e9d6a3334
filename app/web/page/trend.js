// The region “Trending now”, beside the totals.

import { problemText } from "./api.js";
import { byId, fill, make, setAttribute, setText } from "./dom.js";
import { number, timeText, wordAddress, wordText } from "./format.js";
import { timesText } from "./ranks.js";

export function showTrending(answer, seconds) {
  const { ok, body } = answer;
  setText(byId("trend-note"), ok ? noteOf(body) : problemText(body));
  if (!ok) return;
  byId("trend").hidden = false;
  setText(byId("trend-when"), `${timeText(body.start, seconds)} to ${timeText(body.end, seconds)}`);
  const most = Math.max(1e-9, ...body.words.map(({ score }) => score));
  fill(byId("rising"), body.words, newItem, (item, one) => {
    const [bar, link, times, count] = item.children;
    bar.style.transform = `scaleX(${(one.score / most).toFixed(3)})`;
    setText(link, wordText(one.word));
    setAttribute(link, "href", wordAddress(one.word));
    setText(times, timesText(one));
    setText(count, number(one.count));
  });
}

function noteOf({ words, baseline_windows: windows }) {
  return words.length ? "" : `No word occurs far more often than in the ${number(windows)} windows before.`;
}

function newItem() {
  const item = make("li");
  const bar = make("span", "rising-bar");
  bar.setAttribute("aria-hidden", "true");
  const link = make("a", "word");
  link.dir = "auto";
  item.append(bar, link, make("span", "hint"), make("span", "count"));
  return item;
}
