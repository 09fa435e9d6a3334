// Who has which partition, made of the answer of `/v1/assignments`: rows to show. Nothing here touches the document.

import { age, number } from "./format.js";

/** A view knows no map of the group and owns nothing; a worker without a map follows nothing. */
export function isView({ generation, workers }) {
  const [here] = workers;
  return generation === null && workers.length === 1 && !Object.keys(here.active).length && Object.keys(here.standby).length > 0;
}

export function workerName({ url, here }, isOfView = false) {
  if (isOfView) return "this view";
  return (url.slice(url.indexOf("//") + 2) || "address not known") + (here ? " (this one)" : "");
}

/** All workers: {name, color, said, isWrong}. */
export function workersOf(assignments) {
  const view = isView(assignments);
  return assignments.workers.map((worker, color) => {
    const counts = Object.keys(worker.active).length, follows = Object.keys(worker.standby).length;
    const parts = [counts ? `counts ${number(counts)}` : "", follows ? `follows ${number(follows)}` : ""].filter(Boolean);
    const said = worker.problem ? `does not answer: ${worker.problem}` : [parts.join(", ") || "has no partition", worker.version].filter(Boolean).join(" · ");
    return { name: workerName(worker, view), color, said, isWrong: worker.problem !== "" };
  });
}

/** All partitions, ascending: {partition, state, kind, worker, color, restored, position, behind, followers, problem}. */
export function placesOf(assignments) {
  const view = isView(assignments);
  const rows = new Map();
  const rowOf = (partition) => {
    if (!rows.has(partition)) rows.set(partition, { partition, ...NOBODY, state: `waits for a ${view ? "follower" : "worker"}`, followers: [] });
    return rows.get(partition);
  };
  for (let partition = 0; partition < (assignments.partitions ?? 0); partition++) rowOf(partition);
  assignments.workers.forEach((worker, color) => {
    for (const [partition, status] of Object.entries(worker.active)) Object.assign(rowOf(Number(partition)), owned(worker, color, status));
    for (const [partition, status] of Object.entries(worker.standby)) {
      if (view) Object.assign(rowOf(Number(partition)), { worker: "this view", color, ...followed(status) });
      else rowOf(Number(partition)).followers.push({ worker: workerName({ ...worker, here: false }), color, ...followed(status) });
    }
  });
  return [...rows.values()].sort((a, b) => a.partition - b.partition);
}

const NOBODY = { kind: "bad", worker: "nobody", color: null, restored: null, position: null, behind: "–", problem: "" };

function owned(worker, color, status) {
  const known = { worker: workerName({ ...worker, here: false }), color };
  if (status === null) return { ...known, state: "not known", kind: "bad" };
  const { state, restored, position, lag_records: lag, problem } = status;
  return { ...known, state, kind: kindOf(state), restored, position, behind: lag === null ? "–" : records(lag), problem };
}

function followed(status) {
  if (status === null) return { state: "not known", kind: "bad", restored: null, position: null, behind: "–", problem: "" };
  const { state, restored, position, behind_records: lag, behind_seconds: seconds, problem } = status;
  return { state, kind: kindOf(state), restored, position, behind: `${records(lag)}, ${age(seconds)}`, problem };
}

const records = (count) => `${number(count)} ${count === 1 ? "record" : "records"}`;

function kindOf(state) {
  if (state === "counting" || state === "following") return "good";
  return state === "stopped" ? "bad" : "busy";
}

/** Who gave the answers, in a sentence; empty while that is not known. */
export function whose(assignments) {
  if (isView(assignments)) return "Answered by a view, which follows the workers.";
  const here = assignments.workers.find((worker) => worker.here && worker.url);
  if (!here) return "";
  const { length } = assignments.workers;
  return `Answered by ${workerName({ ...here, here: false })}, ${length > 1 ? `one of ${length} workers` : "the only worker"}.`;
}

/** What followers answered, in a sentence; empty where none did. */
export function followersSaid({ behind }) {
  const partitions = Object.keys(behind);
  if (!partitions.length) return "";
  const most = (of) => Math.max(...Object.values(behind).map(of));
  return `Followers answered for partitions ${partitions.join(", ")}: up to ${number(most(({ records }) => records))} records and ${age(most(({ seconds }) => seconds))} behind.`;
}
