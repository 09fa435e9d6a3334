// The page of one word: its total as it moves, since when, and its minutes and hours.

import { ask, problemText } from "./api.js";
import { BarChart, LineChart } from "./chart.js";
import { byId, make, setNumber, setText } from "./dom.js";
import { age, number, sizeName, timeText, wordText } from "./format.js";
import { Poll } from "./poll.js";
import { History } from "./samples.js";

const POINTS = 240;
const STEP_MS = 500;
const WINDOWS_MS = 5000;
const WINDOWS = 60;
const FEWEST = 24;
const MOST_FIGURES = 3;

export class WordPage {
  constructor() {
    this.word = null;
    this.figures = [];
    this.chart = new LineChart(byId("since-chart"), { title: "Total since this page was opened", isFromZero: false });
    this.poll = new Poll(WINDOWS_MS, () => this.askWindows(), (answer) => this.showWindows(answer));
    this.sizes = [];
    this.allWords = NaN;
  }

  get query() {
    return `word=${encodeURIComponent(this.word)}`;
  }

  open(word) {
    this.word = word;
    this.count = null;
    this.history = new History(POINTS, STEP_MS);
    this.openedMs = performance.now();
    setText(byId("word"), wordText(word));
    delete byId("total").dataset.value;
    setText(byId("total"), "–");
    setText(byId("word-note"), "\u00a0");
    setText(byId("since"), "–");
    this.chart.show([]);
    this.setFigures();
  }

  close() {
    this.word = null;
    this.poll.stop();
  }

  /** Shows an answer to `query`. */
  show(body) {
    const [{ word, count }] = body.words;
    const now = performance.now();
    this.shown = word;
    this.count = count;
    setText(byId("word"), wordText(word));
    setNumber(byId("total"), count, number);
    this.history.push(count, now);
    this.note();
    this.draw(now);
  }

  /** Counts that did not move are a point of the history, too. */
  tick() {
    if (this.word === null || this.count === null) return;
    this.history.push(this.count, performance.now());
    this.draw(performance.now());
  }

  draw(now) {
    const { points } = this.history;
    const [first] = points, span = Math.max(1, now - first.ms);
    this.chart.show(points.map(({ ms, value }) => ({ at: (ms - first.ms) / span, value })), { from: `${age(span / 1000)} ago` });
    const more = points.at(-1).value - first.value;
    setText(byId("since"), more >= 0 ? `+${number(more)}` : number(more));
  }

  setAllWords(words) {
    this.allWords = words;
    if (this.word !== null) this.note();
  }

  note() {
    if (this.count === null) return;
    const every = this.count > 0 && this.allWords >= this.count ? this.allWords / this.count : NaN;
    setText(byId("word-note"), this.count === 0 ? "does not occur up to now" : every < 1.5 ? "times, most of all words"
      : Number.isNaN(every) ? "times" : `times, every ${number(every)}${ordinal(Math.round(every))} word`);
  }

  setSizes(sizes) {
    const tumbling = sizes.filter(({ size_seconds: size, advance_seconds: advance }) => size === advance).slice(0, MOST_FIGURES);
    if (tumbling.map(({ size }) => size).join() === this.sizes.map(({ size }) => size).join()) return;
    this.sizes = tumbling;
    if (this.word !== null) this.setFigures();
  }

  setFigures() {
    this.figures = this.sizes.map(({ size, size_seconds: seconds }) => new WindowFigure(size, seconds));
    byId("word-windows").replaceChildren(...this.figures.map(({ figure }) => figure));
    setText(byId("word-windows-note"), "");
    this.poll.stop();
    if (this.isRunning) this.poll.start();
  }

  setRunning(isRunning) {
    this.isRunning = isRunning && this.word !== null;
    if (this.isRunning) this.poll.start();
    else this.poll.stop();
  }

  async askWindows() {
    if (!this.figures.length) return null;
    const address = `v1/words/${encodeURIComponent(this.word)}/windows?allow_partial=true&last=${WINDOWS}&size=`;
    const answers = await Promise.all(this.figures.map(({ size }) => ask(address + encodeURIComponent(size))));
    return { answers, retryMs: Math.max(...answers.map(({ retryMs }) => retryMs)) };
  }

  showWindows({ answers }) {
    answers.forEach((answer, index) => answer.ok && this.figures[index].show(answer.body));
    const refused = answers.find(({ ok }) => !ok);
    setText(byId("word-windows-note"), refused ? problemText(refused.body) : "");
  }
}

class WindowFigure {
  constructor(size, seconds) {
    Object.assign(this, { size, seconds });
    const title = `Count per ${sizeName(size)}`;
    this.chart = new BarChart(title);
    this.figure = make("figure", "card windows");
    this.figure.setAttribute("aria-label", title);
    const caption = make("figcaption");
    const name = make("h3", "", title);
    this.said = make("p", "soft");
    caption.append(name, this.said);
    this.figure.append(caption, this.chart.place, this.chart.hidden);
  }

  show({ windows: asked, final_until: until }) {
    const windows = sinceFirst(asked);
    // All times have the same form, in which the order of texts is that of times.
    const isOpen = ({ end, start }) => until === null || (end ?? endOf(start, this.seconds)) > until;
    this.chart.show(windows.map((one) => ({ label: timeText(one.start, this.seconds), count: one.count, isOpen: isOpen(one) })));
    const sum = windows.reduce((all, { count }) => all + count, 0);
    setText(this.said, `${number(sum)} times in ${windows.length} ${capitalless(sizeName(this.size))}s. Light bars may still grow.`);
  }
}

/** The windows from the first one in which the word occurs; a few more, where it is new, so that one bar does not fill the place. */
function sinceFirst(windows) {
  const first = windows.findIndex(({ count }) => count > 0);
  return windows.slice(first < 0 ? -FEWEST : Math.min(first, windows.length - FEWEST));
}

function endOf(start, seconds) {
  return new Date(Date.parse(start) + 1000 * seconds).toISOString().replace(".000Z", "Z");
}

const capitalless = (text) => (/^\d/.test(text) ? `windows of ${text.replace(/s$/, "")}` : text);

function ordinal(value) {
  const tens = value % 100;
  if (tens >= 11 && tens <= 13) return "th";
  return { 1: "st", 2: "nd", 3: "rd" }[value % 10] ?? "th";
}
