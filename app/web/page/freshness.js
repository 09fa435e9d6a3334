// How old is what is shown? Counts that did not move are as fresh as the last answer which says that they did not.

export const STALE_S = 5;

export class Freshness {
  constructor() {
    this.shown = "";
    this.confirmedMs = null;
    this.behindMs = 0;
  }

  /** An answer is shown now. */
  show({ as_of, behind }, nowMs) {
    this.shown = positions(as_of);
    this.confirm(behind, nowMs);
  }

  /** Another answer has come: if it has the positions of the one that is shown, that one is still the newest. Returns whether it is. */
  compare({ as_of, behind }, nowMs) {
    const isSame = positions(as_of) === this.shown;
    if (isSame) this.confirm(behind, nowMs);
    return isSame;
  }

  confirm(behind, nowMs) {
    this.confirmedMs = nowMs;
    // A follower that lags says by how much; the oldest part of an answer makes its age.
    this.behindMs = 1000 * Math.max(0, ...Object.values(behind ?? {}).map(({ seconds }) => seconds));
  }

  /** Age in seconds of what is shown; null = nothing is shown yet. */
  age(nowMs) {
    return this.confirmedMs === null ? null : Math.max(0, nowMs - this.confirmedMs + this.behindMs) / 1000;
  }

  isStale(nowMs) {
    const age = this.age(nowMs);
    return age !== null && age > STALE_S;
  }
}

function positions(asOf) {
  return Object.keys(asOf).sort((a, b) => a - b).map((partition) => `${partition}:${asOf[partition]}`).join();
}
