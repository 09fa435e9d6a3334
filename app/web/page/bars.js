// Ranked words with bars behind them. When ranks change, rows glide to their new places.

import { glide, make, mayMove, setAttribute, setText } from "./dom.js";
import { number, wordAddress, wordText } from "./format.js";

const NEWS_MS = 1600;

export class Bars {
  /** @param list an empty `ol`. */
  constructor(list) {
    this.list = list;
    this.rows = new Map();
  }

  /** Shows [{word, count, share, hint}], the most frequent first; `share` of the longest bar, from 0 to 1. */
  show(items) {
    const words = new Set(items.map(({ word }) => word));
    const shown = [...this.rows.keys()], wanted = [...words];
    const isReordered = shown.length !== wanted.length || shown.some((word, index) => word !== wanted[index]);
    // Where rows are now, those in motion included, so that they go on from there.
    const before = new Map();
    if (isReordered && mayMove()) for (const [word, row] of this.rows) before.set(word, row.item.getBoundingClientRect().top);
    for (const [word, row] of this.rows) {
      if (words.has(word)) continue;
      row.item.remove();
      this.rows.delete(word);
    }
    const ranks = new Map([...this.rows.keys()].map((word, index) => [word, index]));
    const sorted = new Map();
    items.forEach((item, index) => {
      const row = this.rows.get(item.word) ?? newRow(item.word);
      sorted.set(item.word, row);
      fillRow(row, item, index, ranks.get(item.word));
    });
    this.rows = sorted;
    if (isReordered) this.reorder(before);
  }

  clear() {
    this.rows.clear();
    this.list.replaceChildren();
  }

  reorder(before) {
    const focused = this.list.contains(document.activeElement) ? document.activeElement : null;
    let next = this.list.firstElementChild;
    for (const { item } of this.rows.values()) {
      if (item === next) next = next.nextElementSibling;
      else move(this.list, item, next);
    }
    if (focused && document.activeElement !== focused && focused.isConnected) focused.focus({ preventScroll: true });
    if (!mayMove()) return;
    for (const row of this.rows.values()) row.gliding?.cancel();
    const places = [...this.rows].map(([word, row]) => [row, before.get(word), row.item.getBoundingClientRect().top]);
    for (const [row, was, top] of places) {
      if (was === undefined) row.gliding = glide(row.item, "translateY(1.5rem)", { from: { opacity: 0 }, to: { opacity: 1 } });
      else if (Math.abs(was - top) > 1) row.gliding = glide(row.item, `translateY(${was - top}px)`);
    }
  }
}

function move(list, item, next) {
  // What has the focus, and what moves, keeps it where the browser can move without taking out.
  if (list.moveBefore && item.parentNode === list) list.moveBefore(item, next);
  else list.insertBefore(item, next);
}

function newRow(word) {
  const item = make("li", "row");
  const track = make("span", "track");
  track.setAttribute("aria-hidden", "true");
  const bar = make("span", "bar");
  track.append(bar);
  const rank = make("span", "rank");
  rank.setAttribute("aria-hidden", "true");
  const link = make("a", "word", wordText(word));
  link.href = wordAddress(word);
  link.dir = "auto";
  const more = make("span", "more");
  more.setAttribute("aria-hidden", "true");
  const hint = make("span", "hint");
  const count = make("span", "count");
  item.append(track, rank, link, more, hint, count);
  // Motions are kept here, one of each kind: to ask an element for its own takes the longer the more the page has.
  return { item, bar, rank, more, hint, count, link, value: null, gliding: undefined, appearing: undefined, rising: undefined };
}

function fillRow(row, { word, count, share, hint = "" }, index, formerIndex) {
  setText(row.rank, String(index + 1));
  setText(row.count, number(count));
  setText(row.hint, hint);
  setAttribute(row.link, "title", word);
  row.bar.style.transform = `translateX(${(100 * (share - 1)).toFixed(2)}%)`;
  if (row.value !== null && count > row.value && mayMove()) {
    setText(row.more, `+${number(count - row.value)}`);
    row.appearing?.cancel();
    row.appearing = row.more.animate([{ opacity: 0 }, { opacity: 1, offset: 0.15 }, { opacity: 1, offset: 0.5 }, { opacity: 0 }], { duration: NEWS_MS });
  }
  row.value = count;
  if (formerIndex > index && mayMove()) {
    row.rising?.cancel();
    row.rising = row.rank.animate([{ color: "var(--accent)", transform: "scale(1.5)" }, {}], { duration: NEWS_MS, easing: "ease-out" });
  }
}
