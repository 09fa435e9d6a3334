// The totals at the top of the page: words, words per second and records still to read, each over the last minutes.

import { LineChart } from "./chart.js";
import { byId, setNumber, setText } from "./dom.js";
import { number } from "./format.js";
import { Rate, Samples, lagOf } from "./samples.js";

const POINTS = 121;
const RATE_OVER_MS = 3000;
// A page that was just opened shows less time, so that its charts are not empty.
const STRETCHES = [[31, "30 s ago"], [61, "1 min ago"], [POINTS, "2 min ago"]];

export class Totals {
  constructor() {
    this.rate = new Rate(RATE_OVER_MS);
    this.rates = new Samples(POINTS);
    this.lags = new Samples(POINTS);
    this.rateChart = new LineChart(byId("rate-chart"), { title: "Words per second over the last minutes" });
    this.lagChart = new LineChart(byId("lag-chart"), { title: "Records still to read over the last minutes" });
    this.known = 0;
  }

  /** Shows one answer of `/v1/stats`; these are one second apart while the page runs. */
  show(stats) {
    const rate = this.rate.after(stats.words, Object.keys(stats.as_of).join(), performance.now());
    const lag = lagOf(stats);
    this.rates.push(rate);
    this.lags.push(lag);
    setNumber(byId("words"), stats.words, number);
    setText(byId("records"), `in ${number(stats.records)} records of ${number(Object.keys(stats.as_of).length)} partitions`);
    setText(byId("rate"), number(rate));
    setText(byId("lag"), number(lag));
    this.known = Math.min(POINTS, this.known + 1);
    const [shown, from] = STRETCHES.find(([points]) => points >= this.known);
    this.rateChart.show(pointsOf(this.rates, shown), { isNext: true, from });
    this.lagChart.show(pointsOf(this.lags, shown), { isNext: true, from });
  }

  /** Words per second; NaN = not known. */
  get wordsPerSecond() {
    return this.rates.last();
  }
}

function pointsOf({ values }, shown) {
  return Array.from(values.subarray(values.length - shown), (value, index) => ({ at: index / (shown - 1), value }));
}
