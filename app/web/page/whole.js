// Answers that leave partitions out, while these move from one worker to another: for a moment the last whole answer says more.

export const PATIENCE_MS = 8000;

export class Whole {
  constructor() {
    this.hadOne = false;
    this.sinceMs = null;
  }

  /** Whether an answer should be shown: it is whole, or none was whole for long. Nothing at all is never shown. */
  accepts({ complete, as_of: asOf }, nowMs) {
    if (complete) {
      this.hadOne = true;
      this.sinceMs = null;
      return true;
    }
    this.sinceMs ??= nowMs;
    return Object.keys(asOf).length > 0 && (!this.hadOne || nowMs - this.sinceMs > PATIENCE_MS);
  }
}
