// Small helpers for the document. Text from outside is only ever set as text: a word may look like a tag.

export const byId = (id) => document.getElementById(id);

/** A new element with a class and text. */
export function make(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

const SVG = "http://www.w3.org/2000/svg";

/** A new element of a drawing with attributes. */
export function draw(tag, attributes = {}) {
  const node = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
  return node;
}

/** Sets text if it differs, so that nothing is drawn or read aloud without need. */
export function setText(node, text) {
  if (node.textContent === text) return;
  const only = node.childNodes.length === 1 ? node.firstChild : null;
  // A new node for each number of each second would be garbage.
  if (only?.nodeType === Node.TEXT_NODE) only.data = text;
  else node.textContent = text;
}

export function setAttribute(node, name, value) {
  if (node.getAttribute(name) !== value) node.setAttribute(name, value);
}

/** Shows a text in an element that is hidden while there is none. */
export function say(node, text) {
  setText(node, text);
  node.hidden = text === "";
}

/** Makes `parent` have as many children as `items`, by `create`, and fills each by `fill(child, item, index)`. */
export function fill(parent, items, create, fillOne) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  while (parent.children.length < items.length) parent.append(create());
  items.forEach((item, index) => fillOne(parent.children[index], item, index));
}

const calm = matchMedia("(prefers-reduced-motion: reduce)");

/** Whether things may move: the person has not asked for less motion, and looks at the page. */
export function mayMove() {
  return !calm.matches && !document.hidden;
}

const MOTION_MS = 420;
const EASE = "cubic-bezier(.2, .8, .2, 1)";

/** Lets an element move from where it was to where it is, by `from`, a transformation; returns the motion, undefined = none. */
export function glide(node, from, options = {}) {
  if (!mayMove()) return undefined;
  return node.animate([{ transform: from, ...options.from }, { transform: "none", ...options.to }], { duration: MOTION_MS, easing: EASE });
}

/** Lets a dot send out a ring once: something has arrived. */
export function beat(dot) {
  if (mayMove()) dot.animate([{ opacity: 0.6, transform: "none" }, { opacity: 0, transform: "scale(2.6)" }], { duration: 900, easing: "ease-out", pseudoElement: "::after" });
}

const counting = new WeakMap();

/** Shows a number that runs from the former value to `value`, which is also the attribute `data-value`. */
export function setNumber(node, value, format) {
  const from = Number(node.dataset.value ?? NaN);
  node.dataset.value = value;
  cancelAnimationFrame(counting.get(node));
  if (!mayMove() || Number.isNaN(from) || Number.isNaN(value) || from > value) {
    setText(node, format(value));
    return;
  }
  const began = performance.now();
  const step = (now) => {
    const part = Math.min(1, Math.max(0, (now - began) / MOTION_MS));
    setText(node, format(Math.round(from + (value - from) * (1 - (1 - part) ** 3))));
    if (part < 1) counting.set(node, requestAnimationFrame(step));
  };
  counting.set(node, requestAnimationFrame(step));
}

/** Changes the document by `change` with a soft transition, where the browser has one; then calls `onEnd`. */
export function transition(change, onEnd = () => {}) {
  if (!document.startViewTransition || !mayMove()) {
    change();
    onEnd();
    return;
  }
  const running = document.startViewTransition(change);
  // A transition that is skipped, because the next one begins, has changed the document all the same.
  running.ready.catch(() => {});
  running.finished.then(onEnd, onEnd);
}
