// Asks again and again, never a second time before the first has ended, and not while nobody looks.

export class Poll {
  /**
   * @param periodMs pause from one answer to the next question.
   * @param question asks once, returns an answer of `ask`, or null where there is nothing to ask.
   * @param show shows the answer.
   */
  constructor(periodMs, question, show) {
    Object.assign(this, { periodMs, question, show, turn: 0, isRunning: false });
  }

  start() {
    if (this.isRunning) return;
    this.isRunning = true;
    this.now();
  }

  stop() {
    this.isRunning = false;
    this.turn++;
    clearTimeout(this.timer);
  }

  /** Asks at once. The answer to a question that was asked before is not shown any more. */
  async now() {
    if (!this.isRunning) return;
    clearTimeout(this.timer);
    const turn = ++this.turn;
    const answer = await this.question();
    if (turn !== this.turn) return;
    this.timer = setTimeout(() => this.now(), Math.max(this.periodMs, answer?.retryMs ?? 0));
    if (answer) this.show(answer);
  }
}
