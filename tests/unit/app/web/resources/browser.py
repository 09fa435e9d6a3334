"""The page's script in a JavaScript engine: a document without looks, and a clock and requests that the test moves."""

from __future__ import annotations

import json
import re
from typing import Any

import quickjs

_BROWSER = """
let now = 0, timers = [], requests = [], failures = [];
const performance = { now: () => now };
const setTimeout = (task, waitMs) => { const timer = { task, at: now + (waitMs || 0) }; timers.push(timer); return timer; };
const clearTimeout = (timer) => { timers = timers.filter((other) => other !== timer); };
const kept = {};
const sessionStorage = { getItem: (name) => kept[name] ?? null, setItem: (name, text) => { kept[name] = text; } };
const Intl = { NumberFormat: class { format(value) { return String(value); } } };
const AbortSignal = { timeout: (waitMs) => ({ waitMs }) };
class Node {
  constructor() {
    Object.assign(this, { textContent: "", className: "", value: "", rows: [], cells: [], listeners: {} });
    this.style = { setProperty() {} };
  }
  insertRow() { const row = new Node(); this.rows.push(row); return row; }
  deleteRow() { this.rows.pop(); }
  insertCell() { const cell = new Node(); this.cells.push(cell); return cell; }
  append(node) { this.cells.push(node); }
  addEventListener(name, listener) { (this.listeners[name] ||= []).push(listener); }
  dispatch(name) { (this.listeners[name] || []).forEach((listener) => listener({ preventDefault() {} })); }
}
const nodes = {};
const document = Object.assign(new Node(), {
  hidden: false,
  getElementById: (id) => nodes[id] ||= new Node(),
  createElement: () => new Node(),
});
function fetch(path, { signal, headers }) {
  return new Promise((resolve, reject) => {
    const request = { path, headers, resolve, reject };
    request.timer = setTimeout(() => settle(request, () => reject(new Error("timed out"))), signal.waitMs);
    requests.push(request);
  });
}
function settle(request, how) {
  requests = requests.filter((other) => other !== request);
  clearTimeout(request.timer);
  how();
}
function answer(path, status, body, retryAfter) {
  const request = requests.find((one) => one.path === path);
  settle(request, () => request.resolve({
    ok: status === 200,
    status,
    headers: { get: () => retryAfter },
    json: async () => JSON.parse(body),
  }));
}
function fireOne(until) {
  const due = timers.filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0];
  if (!due) { now = until; return false; }
  clearTimeout(due);
  now = due.at;
  due.task();
  return true;
}
"""


class Browser:
    """A page that was just opened.

    Args:
        html: the page; only its script is run.
    """

    def __init__(self, html: str) -> None:
        (script,) = re.findall("<script>(.*?)</script>", html, re.DOTALL)
        self._context = quickjs.Context()
        self._run(_BROWSER)
        for name in re.findall(r'<[a-z]+ id="([^"]+)" hidden>', html):
            self._run(f"document.getElementById({json.dumps(name)}).hidden = true")
        self._run(script)

    def asked(self) -> list[str]:
        """Paths that are asked for and not answered yet."""
        paths: list[str] = json.loads(self._run("JSON.stringify(requests.map((request) => request.path))"))
        return paths

    def tokens(self) -> set[str | None]:
        """The `Authorization` of each request that is not answered yet."""
        sent = "requests.map((request) => request.headers.Authorization ?? null)"
        return set(json.loads(self._run(f"JSON.stringify({sent})")))

    def answer(self, path: str, body: object, status: int = 200, retry_after: int | None = None) -> None:
        """Answer the request for `path`."""
        arguments = ", ".join(map(json.dumps, (path, status, json.dumps(body), retry_after)))
        self._run(f"answer({arguments})")

    def refuse(self, path: str, body: str) -> None:
        """Answer the request for `path` as a broken proxy may: with what is no JSON."""
        self._run(f"answer({json.dumps(path)}, 502, {json.dumps(body)}, null)")

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        until = self._run("now") + 1000 * seconds
        while self._run(f"fireOne({until})"):
            pass

    def text(self, name: str) -> str:
        """The text of an element by its id."""
        text: str = self._run(f"document.getElementById({json.dumps(name)}).textContent")
        return text

    def rows(self, name: str) -> list[list[str]]:
        """The texts of the rows of a table's body by its id."""
        node = f"document.getElementById({json.dumps(name)})"
        rows = f"{node}.rows.map((row) => row.cells.map((cell) => cell.textContent))"
        found: list[list[str]] = json.loads(self._run(f"JSON.stringify({rows})"))
        return found

    def classes(self, name: str) -> list[str]:
        """The classes of the rows of a table's body by its id."""
        rows = f"document.getElementById({json.dumps(name)}).rows.map((row) => row.className)"
        found: list[str] = json.loads(self._run(f"JSON.stringify({rows})"))
        return found

    def type(self, name: str, text: str) -> None:
        """Type into a field by its id."""
        node = f"document.getElementById({json.dumps(name)})"
        self._run(f"{node}.value = {json.dumps(text)}; {node}.dispatch('input')")

    def submit(self, form: str, name: str, text: str) -> None:
        """Type into a field and submit its form, both by their ids."""
        self._run(f"document.getElementById({json.dumps(name)}).value = {json.dumps(text)}")
        self._run(f"document.getElementById({json.dumps(form)}).dispatch('submit')")

    def hidden(self, name: str) -> bool:
        """Whether an element is hidden, by its id."""
        return bool(self._run(f"!!document.getElementById({json.dumps(name)}).hidden"))

    def value(self, name: str) -> str:
        """The text in a field by its id."""
        value: str = self._run(f"document.getElementById({json.dumps(name)}).value")
        return value

    def kept(self) -> dict[str, str]:
        """What the page has put into the storage of its session."""
        kept: dict[str, str] = json.loads(self._run("JSON.stringify(kept)"))
        return kept

    def hide(self, hidden: bool) -> None:
        """Another tab is looked at, or this one again."""
        self._run(f"document.hidden = {json.dumps(hidden)}; document.dispatch('visibilitychange')")

    def _run(self, code: str) -> Any:
        result = self._context.eval(code)
        while self._context.execute_pending_job():
            pass
        return result
