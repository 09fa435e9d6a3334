// The search: a combobox whose list has words that begin with what was typed.

import { ask, problemText } from "./api.js";
import { byId, fill, make, setAttribute, setText } from "./dom.js";
import { number, wordAddress, wordText } from "./format.js";
import { prefixesOf, suggestions } from "./suggestions.js";

const TYPING_MS = 120;
const FOUND = 50;
const FREQUENT = 1000;
const FREQUENT_FOR_MS = 20000;

export class Search {
  constructor() {
    this.input = byId("search");
    this.list = byId("suggestions");
    this.words = [];
    this.active = -1;
    this.frequent = [];
    this.frequentUntilMs = 0;
    this.input.addEventListener("input", () => this.typed());
    this.input.addEventListener("focus", () => this.input.value && this.typed());
    this.input.addEventListener("blur", () => this.close());
    this.input.addEventListener("keydown", (event) => this.key(event));
    // Not `click`: the input would lose the focus, and the list would be gone before.
    this.list.addEventListener("pointerdown", (event) => event.preventDefault());
    this.list.addEventListener("click", (event) => {
      const option = event.target.closest("[role=option]");
      if (option) this.open(this.words[Number(option.dataset.index)].word);
    });
    document.addEventListener("keydown", (event) => {
      if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.shiftKey || event.altKey) return;
      event.preventDefault();
      this.input.focus();
      this.input.select();
    });
  }

  typed() {
    clearTimeout(this.timer);
    this.asking?.abort();
    if (this.input.value) this.timer = setTimeout(() => this.look(), TYPING_MS);
    else this.close();
  }

  async look() {
    const typed = this.input.value;
    this.asking = new AbortController();
    try {
      const [frequent, answer] = await Promise.all([this.mostFrequent(), this.byPrefix(typed, this.asking.signal)]);
      if (typed !== this.input.value || document.activeElement !== this.input) return;
      this.show(typed, suggestions(typed, frequent, answer.ok ? answer.body.words : []), answer);
    } catch { /* Something else was typed meanwhile. */ }
  }

  async mostFrequent() {
    if (performance.now() > this.frequentUntilMs) {
      const answer = await ask(`v1/top?k=${FREQUENT}&allow_partial=true`);
      if (answer.ok) {
        this.frequent = answer.body.words;
        this.frequentUntilMs = performance.now() + FREQUENT_FOR_MS;
      }
    }
    return this.frequent;
  }

  async byPrefix(typed, signal) {
    let answer;
    for (const prefix of prefixesOf(typed)) {
      answer = await ask(`v1/words?limit=${FOUND}&allow_partial=true&prefix=${encodeURIComponent(prefix)}`, { signal });
      if (!answer.ok || answer.body.words.length) break;
    }
    return answer;
  }

  show(typed, words, answer) {
    this.words = words;
    this.choose(-1);
    fill(this.list, words, newOption, (option, { word, count }, index) => {
      option.id = `suggestion-${index}`;
      option.dataset.index = index;
      const [whole, known] = option.children, [begin, rest] = whole.children;
      const [prefix] = prefixesOf(typed).filter((one) => word.startsWith(one));
      const text = wordText(word), isPlain = text === word;
      setText(begin, isPlain ? word.slice(0, prefix.length) : text);
      setText(rest, isPlain ? word.slice(prefix.length) : "");
      setText(known, number(count));
    });
    this.setOpen(words.length > 0);
    const note = !answer.ok ? problemText(answer.body) : words.length ? `${words.length} suggestions` : "No word begins like this.";
    setText(byId("search-note"), note);
    byId("search-note").classList.toggle("unseen", words.length > 0);
  }

  setOpen(isOpen) {
    this.list.hidden = !isOpen;
    setAttribute(this.input, "aria-expanded", String(isOpen));
  }

  close() {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.setOpen(false);
    this.choose(-1);
    setText(byId("search-note"), "");
    byId("search-note").classList.add("unseen");
  }

  choose(index) {
    this.active = index;
    [...this.list.children].forEach((option, at) => option.setAttribute("aria-selected", String(at === index)));
    if (index < 0) this.input.removeAttribute("aria-activedescendant");
    else this.input.setAttribute("aria-activedescendant", `suggestion-${index}`);
    this.list.children[index]?.scrollIntoView({ block: "nearest" });
  }

  key(event) {
    const isOpen = !this.list.hidden, { length } = this.words;
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      if (!isOpen) return this.typed();
      event.preventDefault();
      const step = event.key === "ArrowDown" ? 1 : -1;
      // One place more than words: none is chosen there, and what was typed counts.
      this.choose(((this.active + 1 + step + length + 1) % (length + 1)) - 1);
    } else if (event.key === "Escape") {
      if (isOpen) event.preventDefault();
      this.close();
    } else if (event.key === "Enter" && !event.isComposing) {
      event.preventDefault();
      const word = isOpen && this.active >= 0 ? this.words[this.active].word : this.input.value.trim();
      if (word) this.open(word);
    }
    return undefined;
  }

  open(word) {
    this.input.value = "";
    this.input.blur();
    location.hash = wordAddress(word);
  }
}

function newOption() {
  const option = make("div", "option");
  option.setAttribute("role", "option");
  option.dir = "auto";
  const whole = make("span", "whole");
  whole.append(make("b"), make("span", "rest"));
  option.append(whole, make("span", "count"));
  return option;
}
