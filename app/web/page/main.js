// The page: what is asked for when, what is shown where, and how fresh it is.

import { askForAnotherToken, watchAccess } from "./access.js";
import { ask, problemText } from "./api.js";
import { beat, byId, say, setAttribute, setText, transition } from "./dom.js";
import { age, wordOf, wordText } from "./format.js";
import { Freshness } from "./freshness.js";
import { showLetters } from "./letters.js";
import { showAssignments, showWhose } from "./partitions.js";
import { Poll } from "./poll.js";
import { Ranking } from "./ranking.js";
import { Search } from "./search.js";
import { Stream } from "./stream.js";
import { Summary } from "./summary.js";
import { Totals } from "./totals.js";
import { showTrending } from "./trend.js";
import { Tryout } from "./tryout.js";
import { Whole } from "./whole.js";
import { WordPage } from "./word.js";

const TERMS = "interval_ms=500&allow_partial=true";
const AGE_MS = 250;
const RESTART_MS = 5000;
const TRENDING = 6;
const BEAT_MS = 1900;

let isPaused = false;
let connection = "connecting";
let restartedMs = 0;
let beatMs = 0;
let sizes = [];
let isReadyAsked = false;

const freshness = new Freshness();
const whole = { news: new Whole(), stats: new Whole() };
const totals = new Totals();
const summary = new Summary();
const page = new WordPage();
const stream = new Stream({
  news: (body) => showNews(body),
  trouble: (problem) => notice(problemText(problem)),
  state(name) {
    // What was never there is not there again.
    if (name === "live" || connection !== "connecting") connection = name;
    showState();
  },
});
const ranking = new Ranking(watch);
const stats = new Poll(1000, () => ask("v1/stats?allow_partial=true"), showStats);
const assignments = new Poll(2000, () => ask("v1/assignments"), showAssignments);
const windows = new Poll(15000, () => ask("v1/windows?allow_partial=true"), showWindows);
const trending = new Poll(5000, askTrending, (answer) => showTrending(answer, shortest().size_seconds));
const polls = [stats, assignments, windows, trending];

function watch() {
  withheld = null;
  stream.watch(`${page.word === null ? ranking.query : page.query}&${TERMS}`);
}

// News that is not shown yet, because it has fewer partitions, and when it came.
let withheld = null;

function showNews(body, cameMs = performance.now()) {
  const now = performance.now();
  tellMissing(body);
  withheld = whole.news.accepts(body, now) ? null : { body, cameMs };
  if (withheld) return;
  freshness.show(body, cameMs);
  if (now - beatMs > BEAT_MS) {
    beatMs = now;
    beat(byId("pulse").firstElementChild);
  }
  if (page.word === null) {
    ranking.show(body);
    summary.show(body.words, ranking.chosen.label.toLowerCase(), now);
  } else {
    page.show(body);
  }
  showState();
}

function showStats(answer) {
  if (!answer.ok) {
    notice(answer.status ? problemText(answer.body) : "");
    askReadiness();
    return;
  }
  const now = performance.now();
  if (freshness.compare(answer.body, now)) tellMissing(answer.body);
  else if (connection === "live" && freshness.isStale(now) && now - restartedMs > RESTART_MS) {
    // Counts have moved, and the stream does not tell.
    restartedMs = now;
    stream.restart();
  }
  if (!whole.stats.accepts(answer.body, now)) return;
  totals.show(answer.body);
  page.setAllWords(answer.body.words);
  page.tick();
  showLetters(answer.body);
  showWhose(answer.body);
}

function shortest() {
  return sizes.find(({ newest_closed: newest }) => newest !== null);
}

function showWindows(answer) {
  if (!answer.ok) return;
  const hadWindow = shortest() !== undefined;
  sizes = answer.body.sizes;
  ranking.setSizes(sizes);
  page.setSizes(sizes);
  if (!hadWindow && shortest()) trending.now();
}

async function askTrending() {
  const size = shortest();
  return size ? ask(`v1/trending?k=${TRENDING}&allow_partial=true&size=${encodeURIComponent(size.size)}`) : null;
}

/** Says which partitions the counts leave out, and why the service is not ready. */
function tellMissing({ complete, missing_partitions: missing }) {
  if (complete) {
    notice("");
    return;
  }
  notice(`Not all partitions answer${missing.length ? `; missing: ${missing.slice(0, 12).join(", ")}${missing.length > 12 ? " …" : ""}` : ""}. What is shown leaves them out.`);
}

/** Asks, once per trouble, what keeps the service from being ready. */
async function askReadiness() {
  if (isReadyAsked) return;
  isReadyAsked = true;
  const { body } = await ask("readyz", { quiet: true });
  const failing = Object.entries(body.checks ?? {}).filter(([, check]) => !check.ok);
  if (failing.length) notice(`Not ready: ${failing.map(([name, { detail }]) => `${name} (${detail})`).join(", ")}.`);
  setTimeout(() => { isReadyAsked = false; }, RESTART_MS);
}

function notice(text) {
  say(byId("notice"), text);
}

function showState() {
  const state = isPaused ? "paused" : connection;
  const now = performance.now(), seconds = freshness.age(now);
  const isStale = !isPaused && freshness.isStale(now);
  byId("main").classList.toggle("stale", isStale);
  setText(byId("connection"), state);
  setText(byId("age"), seconds === null ? "" : `${age(seconds)} ago`);
  setAttribute(byId("pulse"), "data-state", isStale ? "stale" : state);
  // The number stands in the pill; a text that changed all the time would be read aloud all the time.
  say(byId("stale"), isStale ? `Stale: what is shown is older than it should be. ${state === "live" ? "The service answers, but its counts do not come." : "Trying to reach the service again."}` : "");
  const title = [page.word === null ? "" : wordText(page.word), isStale ? "stale" : state, "Wordcount"].filter(Boolean).join(" – ");
  if (document.title !== title) document.title = title;
}

function setRunning() {
  const isRunning = !isPaused && !document.hidden;
  for (const one of [stream, ...polls]) {
    if (isRunning) one.start();
    else one.stop();
  }
  page.setRunning(isRunning);
  byId("pause").dataset.paused = isPaused;
  setText(byId("pause-text"), isPaused ? "Resume" : "Pause");
  showState();
}

function route({ isFirst = false } = {}) {
  const word = wordOf(location.hash) ?? null;
  // The word glides from its row to the head of its page, and back.
  const row = ranking.linkOf(word ?? page.word);
  const change = () => {
    if (word !== null) row?.style.removeProperty("view-transition-name");
    if (word === null) page.close();
    else page.open(word);
    byId("overview").hidden = word !== null;
    byId("one-word").hidden = word === null;
    if (!isFirst) window.scrollTo(0, 0);
    if (word !== null) byId("word").focus({ preventScroll: true });
    watch();
    page.setRunning(!isPaused && !document.hidden);
    showState();
  };
  if (isFirst) {
    change();
    return;
  }
  row?.style.setProperty("view-transition-name", "word");
  transition(change, () => row?.style.removeProperty("view-transition-name"));
}

const THEMES = ["system", "light", "dark"];

function setTheme(theme) {
  const root = document.documentElement;
  if (theme === "system") delete root.dataset.theme;
  else root.dataset.theme = theme;
  setAttribute(byId("theme"), "aria-label", `Theme: ${theme}`);
  setAttribute(byId("theme"), "title", `Theme: ${theme}`);
}

byId("theme").addEventListener("click", () => {
  const theme = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "system") + 1) % THEMES.length];
  transition(() => setTheme(theme));
  try {
    localStorage.setItem("theme", theme);
  } catch { /* The theme holds until the page is loaded again. */ }
});
byId("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  setRunning();
});
document.addEventListener("visibilitychange", setRunning);
window.addEventListener("hashchange", () => route());
watchAccess(() => {
  tryout.showButton();
  stream.restart();
  for (const poll of polls) poll.now();
});
const tryout = new Tryout(askForAnotherToken);
new Search();
setTheme(document.documentElement.dataset.theme ?? "system");
setInterval(() => {
  if (document.hidden) return;
  // Counts that do not move send no second event to be accepted.
  if (withheld && !isPaused) showNews(withheld.body, withheld.cameMs);
  showState();
}, AGE_MS);
route({ isFirst: true });
setRunning();
