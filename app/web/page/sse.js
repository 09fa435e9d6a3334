// The reader of Server-Sent Events. `EventSource` can send no token, and gives up after some answers for ever; a page that is watched
// for hours needs both.

/** Reads the text of a stream, in pieces of any size, and tells its events. */
export class EventReader {
  /**
   * @param onEvent called with {type, data, id} of each event; `id` is undefined unless the event has one.
   * @param onRetry called with the pause in ms that the service asks for.
   */
  constructor(onEvent, onRetry = () => {}) {
    this.onEvent = onEvent;
    this.onRetry = onRetry;
    this.rest = "";
    this.clear();
  }

  clear() {
    this.type = "message";
    this.data = [];
    this.id = undefined;
  }

  feed(text) {
    // A CR at the end of a piece may be half of a line's end, so it waits for the next piece.
    const all = this.rest + text;
    const ended = all.endsWith("\r") ? all.slice(0, -1) : all;
    const lines = ended.split(/\r\n|\n|\r/);
    this.rest = lines.pop() + all.slice(ended.length);
    lines.forEach((line) => this.line(line));
  }

  line(line) {
    if (line === "") {
      if (this.data.length) this.onEvent({ type: this.type, data: this.data.join("\n"), id: this.id });
      this.clear();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (name === "event") this.type = value;
    else if (name === "data") this.data.push(value);
    else if (name === "id" && !value.includes("\0")) this.id = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.onRetry(Number(value));
  }
}
