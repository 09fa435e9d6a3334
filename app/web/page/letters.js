// The region “Dead letters”: every record accounted for.

import { byId, fill, make, setText } from "./dom.js";
import { number } from "./format.js";
import { reasonsOf, sumsOf } from "./accounting.js";

export function showLetters(stats) {
  const { records, counted, skipped, dead } = sumsOf(stats);
  const verdict = byId("verdict");
  setText(verdict, verdictOf(records, counted, dead));
  verdict.classList.toggle("bad", dead > 0);
  const shares = [["counted", counted], ["skipped", skipped], ["dead", dead]];
  fill(byId("shares"), shares, () => make("span"), (share, [kind, count]) => {
    share.className = kind;
    share.style.flexGrow = String(records ? count / records : 0);
    share.hidden = count === 0;
  });
  const reasons = reasonsOf(stats);
  byId("reasons-table").hidden = reasons.length === 0;
  fill(byId("reasons"), reasons, newRow, (row, { reason, fate, count, unit }) => {
    setText(row.cells[0], reason);
    setText(row.cells[1], fate);
    setText(row.cells[2], unit === "words" ? `${number(count)} words` : number(count));
  });
  setText(byId("letters-note"), `${number(records)} read = ${number(counted)} counted + ${number(skipped)} skipped + ${number(dead)} dead-lettered.`);
}

function verdictOf(records, counted, dead) {
  if (!records) return "No record was read yet.";
  if (!dead) return counted === records ? `None. All ${number(records)} records were counted.` : "None.";
  return `${number(dead)} of ${number(records)} records ${dead === 1 ? "is a dead letter" : "are dead letters"}.`;
}

function newRow() {
  const row = make("tr");
  const head = make("th");
  head.scope = "row";
  row.append(head, make("td"), make("td", "number"));
  return row;
}
