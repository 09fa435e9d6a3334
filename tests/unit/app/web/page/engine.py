"""The page's modules in a JavaScript engine without a document: a clock, requests and streams that a test moves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import quickjs

FOLDER = Path(__file__).parents[5] / "app" / "web" / "page"

_WORLD = """
let now = 0, timers = [], requests = [];
const performance = { now: () => now };
const setTimeout = (task, waitMs) => { const timer = { task, at: now + (waitMs || 0) }; timers.push(timer); return timer; };
const clearTimeout = (timer) => { timers = timers.filter((other) => other !== timer); };
const Intl = {
  NumberFormat: class { format(value) { return String(value); } },
  DateTimeFormat: class {
    constructor(_, parts) { this.parts = parts; }
    format(time) { return Object.keys(this.parts).join("+") + " " + time.toISOString(); }
  },
};
const kept = {};
const sessionStorage = { getItem: (name) => kept[name] ?? null, setItem: (name, text) => { kept[name] = text; } };
Math.random = () => 0.5;
class AbortController {
  constructor() { this.signal = { aborted: false, listeners: [], addEventListener(_, one) { this.listeners.push(one); } }; }
  abort() { this.signal.aborted = true; this.signal.listeners.splice(0).forEach((one) => one()); }
}
const AbortSignal = { timeout: () => new AbortController().signal };
class TextDecoderStream {}
const fetch = (path, options) => new Promise((resolve, reject) => {
  const request = { path, options, resolve, reject, pieces: [], waits: null };
  options.signal.addEventListener("abort", () => { reject(new Error("aborted")); close(request, true); });
  requests.push(request);
});
function close(request, isBroken) {
  request.ended = isBroken ? "broken" : "ended";
  serve(request);
}
function serve(request) {
  if (!request.waits) return;
  const { resolve, reject } = request.waits;
  if (request.pieces.length) resolve({ done: false, value: request.pieces.shift() });
  else if (request.ended === "ended") resolve({ done: true });
  else if (request.ended === "broken") reject(new Error("connection lost"));
  else return;
  request.waits = null;
}
function respond(request, status, body, retryAfter) {
  request.status = status;
  request.resolve({
    ok: status === 200, status, statusText: "", headers: { get: () => retryAfter }, json: async () => JSON.parse(body),
    body: { pipeThrough: () => ({ getReader: () => ({
      read: () => new Promise((resolve, reject) => { request.waits = { resolve, reject }; serve(request); }),
    }) }) },
  });
}
function fireOne(until) {
  const due = timers.filter((timer) => timer.at <= until).sort((a, b) => a.at - b.at)[0];
  if (!due) { now = until; return false; }
  clearTimeout(due);
  now = due.at;
  due.task();
  return true;
}
const modules = {};
"""


class Engine:
    """Some modules of the page, with all that they import.

    Args:
        names: names of the files; what they export can be used by `run`.
    """

    def __init__(self, *names: str) -> None:
        self._context = quickjs.Context()
        self.run(_WORLD)
        self._loaded: set[str] = set()
        for name in names:
            self._load(name)
            self.run(f"Object.assign(globalThis, modules[{json.dumps(name)}]); undefined")

    def run(self, code: str) -> Any:
        """Run code, and everything that it makes due; return its value, objects decoded from JSON."""
        value = self._context.eval(code)
        while self._context.execute_pending_job():
            pass
        if not isinstance(value, quickjs.Object):
            return value
        text = value.json()  # None of what JSON does not have, such as a function.
        return None if text is None else json.loads(text)

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        until = self.run("now") + 1000 * seconds
        while self.run(f"fireOne({until})"):
            pass

    def _load(self, name: str) -> None:
        if name in self._loaded:
            return
        self._loaded.add(name)
        source = (FOLDER / name).read_text("utf-8")
        for imported in imports_of(source):
            self._load(imported)
        self.run(linked(name, source))


def imports_of(source: str) -> list[str]:
    """Names of the files that a module imports."""
    return re.findall(r'^import .* from "\./([^"]+)";$', source, re.MULTILINE)


def linked(name: str, source: str) -> str:
    """The module as a script that takes what it imports from `modules`, and puts there what it exports."""
    exported = re.findall(r"^export (?:async )?(?:function|class|const|let) (\w+)", source, re.MULTILINE)
    body = re.sub(
        r'^import (\{.*\}) from "\./([^"]+)";$', r'const \1 = modules["\2"];', source, flags=re.MULTILINE
    )
    body = re.sub(r"^export ", "", body, flags=re.MULTILINE)
    return f"modules[{json.dumps(name)}] = (() => {{\n{body}\nreturn {{ {', '.join(exported)} }};\n}})(); undefined"
