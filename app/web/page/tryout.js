// The region “Try a text”: how a text is split, while it is typed; and counting it.

import { ask, isKind, problemText } from "./api.js";
import { meaning } from "./accounting.js";
import { byId, make, setText } from "./dom.js";
import { age, number, wordText } from "./format.js";
import { foundText, partsOf } from "./split.js";

const TYPING_MS = 180;
const MOST_SHOWN = 600;
const WAIT_MS = 5000;

export class Tryout {
  /** @param needsToken called where sending needs another token. */
  constructor(needsToken) {
    this.needsToken = needsToken;
    this.text = byId("text");
    this.button = byId("count-it");
    this.off = document.documentElement.dataset.ingest === "off" ? "This process takes no texts. A worker with WORDCOUNT_INGEST=true does." : "";
    // What was sent last and is not confirmed: {text, key}.
    this.unsure = null;
    this.text.addEventListener("input", () => this.typed());
    this.button.addEventListener("click", () => this.send());
    this.showButton();
  }

  typed() {
    // What is said of another text does not hold for this one.
    this.say("");
    clearTimeout(this.timer);
    this.asking?.abort();
    this.timer = setTimeout(() => this.explain(), TYPING_MS);
    this.showButton();
  }

  showButton() {
    this.button.disabled = this.off !== "" || this.text.value === "";
    // Not disabled while it sends, as it would lose the focus.
    this.button.setAttribute("aria-busy", String(this.isSending === true));
    setText(byId("count-reason"), this.off);
  }

  /** The text as it is sent: what is no Unicode is none in JSON. */
  written() {
    return this.text.value.toWellFormed ? this.text.value.toWellFormed() : this.text.value;
  }

  async explain() {
    const text = this.written();
    const place = byId("tokens");
    if (text === "") {
      place.hidden = true;
      place.replaceChildren();
      setText(byId("tokens-note"), "");
      return;
    }
    this.asking = new AbortController();
    try {
      const { ok, body } = await ask("v1/tokens", { method: "POST", json: { text }, signal: this.asking.signal });
      setText(byId("tokens-note"), ok ? foundText(body) : problemText(body));
      place.hidden = !ok;
      if (ok) this.show(text, body.tokens);
    } catch { /* Something else was typed meanwhile. */ }
  }

  show(text, tokens) {
    const shown = tokens.slice(0, MOST_SHOWN);
    const parts = partsOf(text, shown);
    if (shown.length < tokens.length) parts.push({ text: ` … and ${number(tokens.length - shown.length)} more` });
    byId("tokens").replaceChildren(...parts.map((part) => (part.words ? tokenOf(part) : make("span", "between", part.text))));
  }

  async send() {
    if (this.isSending) return;
    const text = this.written();
    // The same key as long as nobody knows whether the text was taken: however often it is sent, it is counted once.
    if (this.unsure?.text !== text) this.unsure = { text, key: newKey() };
    const { key } = this.unsure;
    this.isSending = true;
    this.showButton();
    const began = performance.now();
    try {
      const answer = await ask("v1/texts", { method: "POST", json: { texts: [text] }, more: { "Idempotency-Key": key }, quiet: true });
      if (answer.ok) await this.taken(answer.body, began);
      else this.refused(answer, text);
    } finally {
      this.isSending = false;
      this.showButton();
    }
  }

  async taken({ accepted, after }, began) {
    this.unsure = null;
    const said = `${number(accepted)} ${accepted === 1 ? "text" : "texts"} accepted`;
    this.say(`${said}.`);
    const counted = await ask(`v1/stats?allow_partial=true&after=${encodeURIComponent(after)}&wait_ms=${WAIT_MS}`, { quiet: true });
    if (counted.ok) this.say(`${said}, counted after ${age((performance.now() - began) / 1000)}.`);
  }

  refused({ status, body }, text) {
    if (status === 401 || (status === 403 && isKind(body, "forbidden"))) {
      this.say(problemText(body), true);
      this.needsToken(problemText(body));
    } else if (status === 404 || status === 403 || status === 405) {
      this.off = problemText(body);
      this.say("");
    } else {
      const isSame = this.written() === text;
      const again = isSame && (status === 0 || status === 503) ? " Press again: the text will not be counted twice." : "";
      this.say(`${problemText(body)}${again}`, true);
    }
  }

  say(text, isBad = false) {
    setText(byId("counted"), text);
    byId("counted").classList.toggle("bad", isBad);
  }
}

function tokenOf({ text, words }) {
  const token = make("span", "token");
  token.append(make("span", "written", text));
  for (const { word, left_out: reason } of words) {
    const one = make("span", "spelled", reason ? `${wordText(word)}, left out: ${meaning(reason)}` : wordText(word));
    one.dataset.word = word;
    if (reason) token.classList.add("left-out");
    // A word that is counted as it is written needs to be read once only.
    else if (words.length === 1 && word === text) token.classList.add("same");
    token.append(one);
  }
  return token;
}

function newKey() {
  // Not `randomUUID`, which only pages of secure origins have.
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
