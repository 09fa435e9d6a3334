// Questions to the service: the token, a time limit for each answer, and problems as people read them.

const TIMEOUT_MS = 6000;

// The token is sent as a header only, never as part of an address. A browser that keeps nothing for pages still keeps it here.
let token = "";
try {
  token = sessionStorage.getItem("token") || "";
} catch { /* The page works until it is loaded again. */ }

export function useToken(text) {
  token = text;
  try {
    sessionStorage.setItem("token", token);
  } catch { /* As above. */ }
}

export const hasToken = () => token !== "";

export function headers(more = {}) {
  return token ? { Authorization: `Bearer ${token}`, ...more } : more;
}

const listeners = new Set();

/** Calls `listener(status)` with the status of each answer to a question. */
export function onStatus(listener) {
  listeners.add(listener);
}

export function tellStatus(status) {
  listeners.forEach((listener) => listener(status));
}

/**
 * What a resource answers: {ok, status, body, retryMs}. `body` is a problem unless `ok`; `status` is 0 without an answer.
 * Never throws, unless `signal` has ended the question.
 */
export async function ask(path, { signal, method = "GET", json, more = {}, quiet = false } = {}) {
  const limit = AbortSignal.timeout(TIMEOUT_MS);
  const options = {
    method,
    cache: "no-cache",
    headers: headers(json === undefined ? more : { "Content-Type": "application/json", ...more }),
    signal: signal && AbortSignal.any ? AbortSignal.any([signal, limit]) : signal ?? limit,
  };
  if (json !== undefined) options.body = JSON.stringify(json);
  try {
    const response = await fetch(path, options);
    if (!quiet) tellStatus(response.status);
    const { isJson, body } = await bodyOf(response);
    return { ok: response.ok && isJson, status: response.status, body, retryMs: retryMsOf(response) };
  } catch (error) {
    if (signal?.aborted) throw error;
    const detail = error.name === "TimeoutError" ? `nothing came within ${TIMEOUT_MS / 1000} s` : "the connection failed";
    return { ok: false, status: 0, body: { title: "No answer", detail }, retryMs: 0 };
  }
}

/** {isJson, body} of a response; something between page and service may answer otherwise, which is no failure of the page. */
export async function bodyOf(response) {
  try {
    return { isJson: true, body: await response.json() };
  } catch {
    return { isJson: false, body: { title: `No whole answer (status ${response.status})`, detail: "it breaks off, or is no JSON" } };
  }
}

export function retryMsOf(response) {
  return 1000 * (Number(response.headers.get("Retry-After")) || 0);
}

/** A problem in one sentence. */
export function problemText({ title, detail }) {
  return detail ? `${title}: ${detail}.` : `${title}.`;
}

/** Whether a problem is of a kind, which is the last part of its type. */
export function isKind(problem, kind) {
  return typeof problem.type === "string" && problem.type.endsWith(`:${kind}`);
}
