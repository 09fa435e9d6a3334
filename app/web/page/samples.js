// Numbers over time in bounded memory, and the rates that follow from totals.

/** The newest `size` numbers; NaN = not known. */
export class Samples {
  constructor(size) {
    this.values = new Float64Array(size).fill(NaN);
  }

  push(value) {
    this.values.copyWithin(0, 1);
    this.values[this.values.length - 1] = value ?? NaN;
  }

  last() {
    return this.values[this.values.length - 1];
  }
}

/** Words per second over the last `overMs`, from totals that are known now and then. */
export class Rate {
  constructor(overMs) {
    this.overMs = overMs;
    this.totals = [];
    this.covered = "";
  }

  /** The rate after one more total of the partitions in `covered`; NaN = not known yet. */
  after(total, covered, nowMs) {
    // A partition that begins or ceases to answer changes the sum, which says nothing about speed; nor does what happened in a pause.
    const isGap = this.totals.length > 0 && nowMs - this.totals.at(-1)[0] > 2 * this.overMs;
    if (covered !== this.covered || isGap) this.totals = [];
    this.covered = covered;
    this.totals.push([nowMs, total]);
    while (this.totals.length > 2 && nowMs - this.totals[0][0] > this.overMs) this.totals.shift();
    const [sinceMs, before] = this.totals[0];
    return nowMs > sinceMs ? Math.max(0, (1000 * (total - before)) / (nowMs - sinceMs)) : NaN;
  }
}

/** A history of any length in at most `size` points: when it is full, every other point goes, and the step between points doubles. */
export class History {
  constructor(size, stepMs) {
    this.size = size;
    this.stepMs = stepMs;
    this.points = [];
  }

  push(value, nowMs) {
    const last = this.points.at(-1);
    const before = this.points.at(-2);
    // The newest point is always now: it replaces the former newest one, unless that is a step away from its own predecessor.
    if (last && before && last.ms - before.ms < this.stepMs) this.points.pop();
    this.points.push({ ms: nowMs, value });
    if (this.points.length <= this.size) return;
    this.points = this.points.filter((_, index) => index % 2 === 0 || index === this.points.length - 1);
    this.stepMs *= 2;
  }
}

/** Records that are still to be read; NaN where not every partition tells its number. */
export function lagOf({ as_of: asOf, complete, partitions }) {
  const lags = Object.keys(asOf).map((partition) => partitions[partition]?.lag_records ?? NaN);
  return complete && lags.length ? lags.reduce((a, b) => a + b) : NaN;
}
