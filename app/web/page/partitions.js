// The region “Partitions and workers”.

import { byId, fill, make, say, setAttribute, setText } from "./dom.js";
import { problemText } from "./api.js";
import { number } from "./format.js";
import { followersSaid, placesOf, whose, workersOf } from "./places.js";

const ROWS = 500;
const COLORS = 8;

let saidWhose = "";

export function showAssignments(answer) {
  say(byId("places-note"), answer.ok ? "" : problemText(answer.body));
  if (!answer.ok) return;
  saidWhose = whose(answer.body);
  fill(byId("workers"), workersOf(answer.body), newWorker, (item, { name, color, said, isWrong }) => {
    setColor(item.children[0], color);
    setText(item.children[1], name);
    setText(item.children[2], said);
    item.classList.toggle("bad", isWrong);
  });
  const places = placesOf(answer.body);
  fill(byId("partitions"), places.slice(0, ROWS), newPlace, fillPlace);
  byId("places").classList.toggle("alone", places.every(({ followers }) => followers.length === 0));
  if (places.length > ROWS) say(byId("places-note"), `The first ${number(ROWS)} of ${number(places.length)} partitions.`);
}

/** Tells, beside who gave the answers, which of them came from followers. */
export function showWhose(stats) {
  setText(byId("whose"), [saidWhose, followersSaid(stats)].filter(Boolean).join(" "));
}

function setColor(node, color) {
  setAttribute(node, "data-color", color === null ? "none" : String(color % COLORS));
}

function newWorker() {
  const item = make("li", "worker");
  item.append(make("span", "swatch"), make("b"), make("span", "soft"));
  return item;
}

function newPlace() {
  const row = make("tr");
  const head = make("th");
  head.scope = "row";
  const state = make("td", "state"), worker = make("td", "who"), restored = make("td", "restored");
  state.append(make("span", "dot"), make("span"), make("span", "problem"));
  worker.append(make("span", "swatch"), make("span"));
  const progress = make("progress");
  progress.max = 1;
  restored.append(progress, make("span"));
  row.append(head, state, worker, restored, make("td", "number"), make("td", "number"), make("td", "followers"));
  return row;
}

function fillPlace(row, place) {
  const [head, state, worker, restored, position, behind, followers] = row.cells;
  setText(head, String(place.partition));
  setAttribute(row, "class", place.kind);
  setText(state.children[1], place.state);
  setText(state.children[2], place.problem);
  setColor(worker.children[0], place.color);
  setText(worker.children[1], place.worker);
  fillRestored(restored, place);
  setText(position, number(place.position));
  setText(behind, place.behind);
  fill(followers, place.followers, newFollower, fillFollower);
}

function fillRestored(cell, { restored, partition }) {
  const [progress, text] = cell.children;
  const percent = restored === null ? "–" : `${Math.floor(100 * restored)}%`;
  progress.hidden = restored === null || restored >= 1;
  progress.value = restored ?? 0;
  setAttribute(progress, "aria-label", `Partition ${partition} restored`);
  setText(text, percent);
}

function newFollower() {
  const follower = make("span", "follower");
  follower.append(make("span", "swatch"), make("span"));
  return follower;
}

function fillFollower(node, { worker, color, state, kind, restored, behind, problem }) {
  setColor(node.children[0], color);
  const said = state === "restoring" ? `restoring, ${Math.floor(100 * restored)}%` : problem ? `${state}: ${problem}` : state;
  setText(node.children[1], `${worker}${state === "following" ? "" : `, ${said}`}`);
  setAttribute(node, "title", `${worker}: ${said}, ${behind} behind`);
  node.classList.toggle("bad", kind === "bad");
}
