// The region “Most frequent words”: of all time, of the newest final window of a size, or those that trend.

import { Bars } from "./bars.js";
import { byId, make, setText, transition } from "./dom.js";
import { choicesOf, noteOf, rowsOf } from "./ranks.js";

export class Ranking {
  /** @param onChoice called with the query that is to be watched. */
  constructor(onChoice) {
    this.onChoice = onChoice;
    this.bars = new Bars(byId("most"));
    this.choices = choicesOf([]);
    this.chosen = this.choices[0];
    this.place = byId("choice");
    this.place.addEventListener("change", (event) => this.choose(event.target.value));
  }

  get query() {
    return this.chosen.query;
  }

  /** The link of a word that is shown; undefined = it is not. */
  linkOf(word) {
    return this.bars.rows.get(word)?.link;
  }

  setSizes(sizes) {
    const choices = choicesOf(sizes);
    if (choices.map(({ key }) => key).join() === this.choices.map(({ key }) => key).join()) return;
    this.choices = choices;
    this.place.hidden = choices.length < 2;
    this.place.replaceChildren(...choices.map(({ key, label }) => radio(key, label, key === this.chosen.key)));
    if (!choices.some(({ key }) => key === this.chosen.key)) this.choose("all");
  }

  choose(key) {
    this.chosen = this.choices.find((one) => one.key === key);
    this.isNew = true;
    // Words of the former choice would be wrong under the name of this one; their place stays, so that nothing jumps.
    this.bars.list.style.minHeight = `${this.bars.list.offsetHeight}px`;
    this.bars.clear();
    setText(byId("most-note"), "Asking …");
    this.onChoice();
  }

  show(body) {
    const { chosen } = this;
    const change = () => {
      // A transition begins a frame later.
      if (chosen !== this.chosen) return;
      this.bars.list.style.minHeight = "";
      this.bars.show(rowsOf(body));
      this.bars.list.classList.toggle("warm", chosen.key === "trending");
      setText(byId("most-note"), noteOf(body, chosen));
    };
    if (this.isNew) transition(change);
    else change();
    this.isNew = false;
  }
}

function radio(key, label, isChosen) {
  const whole = make("label");
  const input = make("input");
  Object.assign(input, { type: "radio", name: "over", value: key, checked: isChosen });
  whole.append(input, make("span", "", label));
  return whole;
}
