/** What a person sees. Colours and moving lines only where they can be seen; plain lines in a log. */

const ESCAPE = '\u001b[';
const CODES = { bold: '1', dim: '2', red: '31', green: '32', yellow: '33', cyan: '36' } as const;
export type Style = keyof typeof CODES;

/** The part of a stream that is needed. */
export interface Screen {
  write(text: string): unknown;
  isTTY?: boolean;
  columns?: number;
  on?(event: 'error', listener: () => void): unknown;
}

export class Terminal {
  private readonly moving: boolean;
  private readonly coloured: boolean;
  /** The line that is being redrawn, if any. */
  private redrawn = '';

  constructor(
    private readonly screen: Screen,
    env: NodeJS.ProcessEnv,
  ) {
    this.moving = screen.isTTY === true && env.TERM !== 'dumb';
    this.coloured = this.moving && (env.NO_COLOR ?? '') === '';
    // Nobody may be reading any more (`make run | head`); the cluster does not depend on it.
    screen.on?.('error', () => undefined);
  }

  /** Whether lines can be redrawn here. */
  get live(): boolean {
    return this.moving;
  }

  /** A line (or several). A line that is being redrawn stays below it. */
  say(text = ''): void {
    if (this.redrawn === '') {
      this.screen.write(`${text}\n`);
      return;
    }
    this.screen.write(`\r${ESCAPE}K${text}\n${this.redrawn}`);
  }

  /** Draws the line in place of the one drawn before. Only where lines can be redrawn. */
  redraw(text: string): void {
    if (!this.moving) return;
    this.redrawn = text;
    this.screen.write(`\r${ESCAPE}K${text}`);
  }

  /** The line that was being redrawn is replaced by its last state and stays. */
  settle(text: string): void {
    this.screen.write(this.redrawn === '' ? `${text}\n` : `\r${ESCAPE}K${text}\n`);
    this.redrawn = '';
  }

  paint(text: string, ...styles: Style[]): string {
    if (!this.coloured || styles.length === 0) return text;
    return `${ESCAPE}${styles.map((style) => CODES[style]).join(';')}m${text}${ESCAPE}0m`;
  }
}
