// What is on top, in a sentence for who listens: when it changes, and not more often than every ten seconds.

import { byId, setText } from "./dom.js";
import { number, wordText } from "./format.js";

const PERIOD_MS = 10000;
const NAMED = 3;

export class Summary {
  constructor() {
    this.saidMs = -PERIOD_MS;
    this.order = "";
  }

  /** @param over what the words are counted over, as the choice calls it. */
  show(words, over, nowMs) {
    const top = words.slice(0, NAMED);
    const order = [over, ...top.map(({ word }) => word)].join("\0");
    if (!top.length || order === this.order || nowMs - this.saidMs < PERIOD_MS) return;
    this.order = order;
    this.saidMs = nowMs;
    setText(byId("summary"), `On top, ${over}: ${top.map(({ word, count }) => `${wordText(word)} ${number(count)}`).join(", ")}.`);
  }
}
