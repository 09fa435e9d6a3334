// One watched question: a stream that is opened again, with a pause that grows, whenever it ends, and goes on where it was.

import { bodyOf, headers, isKind, retryMsOf, tellStatus } from "./api.js";
import { EventReader } from "./sse.js";

const FIRST_PAUSE_MS = 300;
const MOST_PAUSE_MS = 5000;
// Comments come every 15 s: after three times that a stream is dead, whatever the browser believes.
const SILENCE_MS = 45000;
// The counts of a topic that was created again never reach what was seen of the former one.
const BELIEF_MS = 12000;

export class Stream {
  /** @param on functions: `news(body)`, `trouble(problem)` while there is no answer, `state(name)`: connecting, live or reconnecting. */
  constructor(on) {
    this.on = on;
    this.question = null;
    this.isRunning = false;
    this.lastId = "";
    this.turn = 0;
  }

  /** Watches another question, a query without `?`. Positions that were seen hold for every question. */
  watch(question) {
    if (question === this.question) return;
    this.question = question;
    if (this.isRunning) this.restart();
  }

  start() {
    if (this.isRunning) return;
    this.isRunning = true;
    this.on.state("reconnecting");
    this.restart();
  }

  stop() {
    this.isRunning = false;
    this.turn++;
    this.abort?.abort();
  }

  /** Opens the stream anew at once. */
  restart() {
    this.abort?.abort();
    this.pauseMs = FIRST_PAUSE_MS;
    this.read(++this.turn);
  }

  async read(turn) {
    const isMine = () => turn === this.turn && this.isRunning;
    while (isMine() && this.question !== null) {
      this.abort = new AbortController();
      let waitMs;
      try {
        waitMs = await this.once(isMine);
      } catch {
        waitMs = null;
      }
      if (!isMine()) return;
      this.on.state("reconnecting");
      await pause(waitMs ?? this.pauseMs * (0.75 + Math.random() / 2), this.abort.signal);
      this.pauseMs = Math.min(MOST_PAUSE_MS, this.pauseMs * 1.7);
    }
  }

  /** Reads one connection to its end; returns the pause that the service asks for, null = none. */
  async once(isMine) {
    let retryMs = null;
    const silence = new Watchdog(SILENCE_MS, () => this.abort.abort());
    try {
      const more = { Accept: "text/event-stream", ...(this.lastId ? { "Last-Event-ID": this.lastId } : {}) };
      const response = await fetch(`v1/stream?${this.question}`, { cache: "no-store", headers: headers(more), signal: this.abort.signal });
      tellStatus(response.status);
      if (!response.ok) {
        const { body: problem } = await bodyOf(response);
        if (isMine()) this.refused(response.status, problem);
        return Math.max(retryMsOf(response), this.pauseMs);
      }
      const reader = new EventReader((event) => isMine() && this.event(event), (ms) => { retryMs = ms; });
      const text = response.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        const { done, value } = await text.read();
        if (done || !isMine()) return retryMs;
        silence.feed();
        reader.feed(value);
      }
    } finally {
      silence.end();
    }
  }

  event({ type, data, id }) {
    const body = JSON.parse(data);
    if (id !== undefined) this.lastId = id;
    this.pauseMs = FIRST_PAUSE_MS;
    if (type === "unavailable") {
      this.on.trouble(body);
      this.doubt(isKind(body, "not-yet-counted"));
      return;
    }
    this.doubt(false);
    this.on.state("live");
    this.on.news(body);
  }

  refused(status, problem) {
    this.on.trouble(problem);
    if (status === 400 && this.lastId) this.lastId = "";
  }

  /** Forgets what was seen if counts do not reach it for long: then the topic is another one. */
  doubt(isBehind) {
    clearTimeout(this.doubting);
    if (!isBehind) return;
    const turn = this.turn;
    this.doubting = setTimeout(() => {
      if (turn !== this.turn || !this.isRunning) return;
      this.lastId = "";
      this.restart();
    }, BELIEF_MS);
  }
}

class Watchdog {
  constructor(limitMs, bark) {
    this.limitMs = limitMs;
    this.bark = bark;
    this.feed();
  }

  feed() {
    clearTimeout(this.timer);
    this.timer = setTimeout(this.bark, this.limitMs);
  }

  end() {
    clearTimeout(this.timer);
  }
}

function pause(ms, signal) {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      resolve();
    }, { once: true });
  });
}
