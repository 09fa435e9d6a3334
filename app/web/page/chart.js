// Drawings of numbers: a line over time, and a bar per window. Drawn in the size of their place, so that strokes and corners stay right.

import { draw, fill, make, mayMove, setAttribute, setText } from "./dom.js";
import { brief } from "./format.js";

// Shorter than a second, so that nothing moves for the rest of it: a page that moves all the time takes a core.
const NEXT_MS = 450;
let names = 0;

/** What happens whenever the place of a drawing gets another size. */
function whenResized(place, redraw) {
  new ResizeObserver(() => redraw()).observe(place);
}

/** A rounded number above `value`, for the top of an axis. */
export function axisTop(value) {
  if (!(value > 0)) return 1;
  const unit = 10 ** Math.floor(Math.log10(value));
  return unit * [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => step * unit >= value * 0.999);
}

/** The path of a line through points, broken where a number is not known, and of the area below. */
export function pathsOf(points, bottom) {
  let line = "", area = "", first = null, last = null;
  const close = () => { if (first) area += `L${last.x} ${bottom}L${first.x} ${bottom}Z`; };
  for (const point of points) {
    if (Number.isNaN(point.y)) {
      close();
      first = null;
      continue;
    }
    const step = `${first ? "L" : "M"}${point.x} ${point.y}`;
    line += step;
    area += step;
    first ??= point;
    last = point;
  }
  close();
  return { line, area };
}

const round = (value) => Math.round(value * 10) / 10;

/** A line with a soft area below it. */
export class LineChart {
  /** @param options: title; isFromZero = whether the axis begins at 0. */
  constructor(place, { title, isFromZero = true }) {
    this.place = place;
    this.isFromZero = isFromZero;
    const gradient = `fade-${names++}`;
    this.svg = draw("svg", { role: "img", preserveAspectRatio: "none" });
    const name = draw("title");
    name.textContent = title;
    const fade = draw("linearGradient", { id: gradient, x1: 0, y1: 0, x2: 0, y2: 1 });
    fade.append(draw("stop", { offset: 0, class: "fade-top" }), draw("stop", { offset: 1, class: "fade-end" }));
    const definitions = draw("defs");
    definitions.append(fade);
    this.area = draw("path", { fill: `url(#${gradient})` });
    this.line = draw("path", { class: "stroke" });
    this.point = draw("circle", { r: 3.5, class: "point", cx: -9, cy: -9 });
    this.moving = draw("g");
    this.moving.append(this.area, this.line);
    this.svg.append(name, definitions, this.moving, this.point);
    this.most = make("span", "axis most-label");
    this.from = make("span", "axis from-label");
    this.to = make("span", "axis to-label", "now");
    for (const label of [this.most, this.from, this.to]) label.setAttribute("aria-hidden", "true");
    place.append(this.svg, this.most, this.from, this.to);
    this.values = [];
    this.rise = 0;
    whenResized(place, () => this.redraw());
  }

  /** Draws [{at, value}], `at` from 0 (left) to 1 (right). `isNext` = one more value at the right, so that the others may glide. */
  show(values, { isNext = false, from = "" } = {}) {
    this.values = values;
    setText(this.from, from);
    this.redraw();
    // In a view that is hidden a chart has no size.
    if (isNext && this.width && mayMove() && values.length > 1) {
      const step = (values[1].at - values[0].at) * this.width;
      const steadily = { duration: NEXT_MS, easing: "ease-out" };
      this.moving.animate([{ transform: `translateX(${step}px)` }, { transform: "none" }], steadily);
      // The point stays at the right, on the line that passes there.
      this.point.animate([{ transform: `translateY(${this.rise}px)` }, { transform: "none" }], steadily);
    }
  }

  redraw() {
    const { clientWidth: width, clientHeight: height } = this.place;
    this.width = width;
    if (!width || !height) return;
    setAttribute(this.svg, "viewBox", `0 0 ${width} ${height}`);
    const known = this.values.map(({ value }) => value).filter((value) => !Number.isNaN(value));
    const most = Math.max(0, ...known), least = this.isFromZero ? 0 : Math.min(...(known.length ? known : [0]));
    const top = this.isFromZero ? axisTop(most) : most, span = Math.max(top - least, this.isFromZero ? 1e-9 : 1);
    const padded = height - 8, right = width - 6;
    const points = this.values.map(({ at, value }) => ({ x: round(at * right), y: round(height - 2 - ((value - least) / span) * padded) }));
    const { line, area } = pathsOf(points, height);
    setAttribute(this.line, "d", line);
    setAttribute(this.area, "d", area);
    const end = points.at(-1), before = points.at(-2);
    this.rise = (end && before && before.y - end.y) || 0;
    const isThere = end && !Number.isNaN(end.y);
    setAttribute(this.point, "cx", isThere ? end.x : -9);
    setAttribute(this.point, "cy", isThere ? end.y : -9);
    setText(this.most, known.length ? brief(top) : "");
  }
}

/** A bar per window of time, with a table of the same numbers for who cannot see them. */
export class BarChart {
  constructor(title) {
    this.svg = draw("svg", { role: "img" });
    this.title = draw("title");
    this.title.textContent = title;
    this.bars = draw("g");
    this.svg.append(this.title, this.bars);
    this.place = make("div", "line bar-chart");
    this.most = make("span", "axis most-label");
    this.from = make("span", "axis from-label");
    this.to = make("span", "axis to-label");
    this.told = make("span", "axis told-label");
    for (const label of [this.most, this.from, this.to, this.told]) label.setAttribute("aria-hidden", "true");
    this.place.append(this.svg, this.most, this.from, this.to, this.told);
    this.table = make("table");
    // A table has no size but that of its rows, so that another element hides them from who can see.
    this.hidden = make("div", "unseen");
    this.hidden.append(this.table);
    this.table.createCaption().textContent = title;
    const head = this.table.createTHead().insertRow();
    head.append(make("th", "", "Begins"), make("th", "", "Count"));
    for (const cell of head.cells) cell.scope = "col";
    this.body = this.table.createTBody();
    this.windows = [];
    this.place.addEventListener("pointermove", (event) => this.tell(event.clientX));
    this.place.addEventListener("pointerleave", () => this.tell(null));
    whenResized(this.place, () => this.redraw());
  }

  /** Draws [{label, count, isOpen}], oldest first. */
  show(windows) {
    this.windows = windows;
    fill(this.body, windows, newRow, (row, { label, count, isOpen }) => {
      setText(row.cells[0], label);
      setText(row.cells[1], `${count}${isOpen ? " (so far)" : ""}`);
    });
    setText(this.from, windows[0]?.label ?? "");
    setText(this.to, windows.at(-1)?.label ?? "");
    this.redraw();
  }

  redraw() {
    const { clientWidth: width, clientHeight: height } = this.place;
    if (!width || !height) return;
    setAttribute(this.svg, "viewBox", `0 0 ${width} ${height}`);
    const most = Math.max(0, ...this.windows.map(({ count }) => count)), top = axisTop(most);
    const step = width / Math.max(1, this.windows.length), gap = Math.min(4, step * 0.25), radius = Math.min(3, (step - gap) / 2);
    fill(this.bars, this.windows, () => draw("rect"), (bar, { count, isOpen }, index) => {
      const tall = count ? Math.max(2, (count / top) * (height - 6)) : 1;
      setAttribute(bar, "x", round(index * step + gap / 2));
      setAttribute(bar, "width", round(step - gap));
      setAttribute(bar, "y", round(height - tall));
      setAttribute(bar, "height", round(tall));
      setAttribute(bar, "rx", round(Math.min(radius, tall / 2)));
      setAttribute(bar, "class", count ? (isOpen ? "open" : "") : "none");
    });
    setText(this.most, most ? brief(top) : "");
  }

  /** Tells the number of the window below the pointer. */
  tell(x) {
    const box = this.place.getBoundingClientRect();
    const index = x === null ? -1 : Math.floor(((x - box.left) / box.width) * this.windows.length);
    const one = this.windows[index];
    this.bars.querySelector(".told")?.classList.remove("told");
    if (one) this.bars.children[index].classList.add("told");
    setText(this.told, one ? `${one.label} – ${one.count}${one.isOpen ? " so far" : ""}` : "");
  }
}

function newRow() {
  const row = make("tr");
  const head = make("th");
  head.scope = "row";
  row.append(head, make("td"));
  return row;
}
