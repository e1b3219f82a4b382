/** How far something has got: a bar that moves in a terminal, a line per quarter in a log. */
import type { Terminal } from '../terminal';

const CELLS = 32;
const LOG_STEPS = 4;

export class ProgressBar {
  private done = 0;
  private loggedSteps = 0;
  private readonly startedMs = performance.now();

  constructor(
    private readonly terminal: Terminal,
    private readonly label: string,
    private readonly total: number,
    private readonly noun: string,
  ) {}

  /** `amount` more are done. */
  advance(amount: number): void {
    this.done = Math.min(this.total, this.done + amount);
    if (this.terminal.live) {
      this.terminal.redraw(this.picture());
      return;
    }
    const steps = Math.floor((this.done / this.total) * LOG_STEPS);
    if (steps === this.loggedSteps || this.done === this.total) return;
    this.loggedSteps = steps;
    this.terminal.say(this.picture());
  }

  /** The bar's last state stays on the screen. */
  finish(): void {
    const seconds = (performance.now() - this.startedMs) / 1000;
    const rate = Math.round(this.done / Math.max(seconds, 0.001));
    this.terminal.settle(`${this.picture()} in ${seconds.toFixed(1)} s (${grouped(rate)} a second)`);
  }

  private picture(): string {
    const filled = Math.round((this.done / this.total) * CELLS);
    const bar = `${this.terminal.paint('█'.repeat(filled), 'green')}${'░'.repeat(CELLS - filled)}`;
    return `  ${this.label} ${bar} ${grouped(this.done)} of ${grouped(this.total)} ${this.noun}`;
  }
}

/** 10000 as `10,000`. */
export function grouped(count: number): string {
  return count.toLocaleString('en-US');
}
