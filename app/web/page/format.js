// Numbers, times, sizes and words as text. Nothing here touches the document.

const whole = new Intl.NumberFormat("en");
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

/** A whole number with separators; a dash where it is not known. */
export function number(value) {
  return value === null || value === undefined || Number.isNaN(value) ? "–" : whole.format(Math.round(value));
}

/** A number in few characters, for axes and charts: 12.3K. */
export function brief(value) {
  return value === null || value === undefined || Number.isNaN(value) ? "–" : short.format(value);
}

/** A word as a person sees it: the empty word has a name, other invisible ones are quoted. */
export function wordText(word) {
  if (word === "") return "(empty word)";
  return /^[\s\p{C}\p{Z}\p{M}]+$/u.test(word) ? `“${word}” (${codePoints(word)})` : word;
}

function codePoints(word) {
  const shown = [...word].slice(0, 4).map((one) => `U+${one.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}`);
  return shown.join(" ") + ([...word].length > 4 ? " …" : "");
}

/** Time that has passed, in seconds: 0.4 s, 12 s, 3 min, 2 h. */
export function age(seconds) {
  if (seconds < 9.95) return `${Math.max(0, seconds).toFixed(1)} s`;
  if (seconds < 99.5) return `${Math.round(seconds)} s`;
  return seconds < 5970 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
}

const UNITS = { s: "second", m: "minute", h: "hour", d: "day" };

/** The name of a window's size as the service writes it: 1m is “minute”, 10m “10 minutes”; hopping ones stay as they are. */
export function sizeName(size) {
  const [, count, unit] = /^(\d+)([smhd])$/.exec(size) ?? [];
  if (unit === undefined) return size;
  return count === "1" ? UNITS[unit] : `${count} ${UNITS[unit]}s`;
}

export function capital(text) {
  return text.charAt(0).toUpperCase() + text.slice(1);
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const seconds = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

/** The beginning of a window in the person's own time zone, as precise as windows of `sizeSeconds` need; with the day unless it is today. */
export function timeText(iso, sizeSeconds, now = new Date()) {
  const time = new Date(iso);
  if (time.toDateString() !== now.toDateString()) return day.format(time);
  return (sizeSeconds < 60 ? seconds : clock).format(time);
}

/** The address of a word's page within this one. Any text can be asked for, also half a surrogate pair. */
export function wordAddress(word) {
  return `#/word/${encodeURIComponent(word.toWellFormed ? word.toWellFormed() : word)}`;
}

/** The word that an address names; undefined = the overview. */
export function wordOf(hash) {
  if (!hash.startsWith("#/word/")) return undefined;
  const text = hash.slice("#/word/".length);
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}
