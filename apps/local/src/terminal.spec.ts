import { ProgressBar } from './demo/progress-bar';
import { Terminal } from './terminal';

class Recorder {
  text = '';
  constructor(readonly isTTY: boolean) {}
  write(text: string): void {
    this.text += text;
  }
}

function fill(screen: Recorder, env: NodeJS.ProcessEnv = {}): void {
  const terminal = new Terminal(screen, env);
  const bar = new ProgressBar(terminal, 'writing', 1_000, 'students');
  for (let done = 0; done < 1_000; done += 10) {
    bar.advance(10);
    if (done === 500) terminal.say('half way');
  }
  bar.finish();
}

test('in a log there are whole lines only, and few', () => {
  const screen = new Recorder(false);
  fill(screen);
  const control = Array.from(screen.text).filter((char) => char < ' ' && char !== '\n');
  expect(control).toEqual([]);
  const lines = screen.text.trimEnd().split('\n');
  expect(lines.length).toBeLessThanOrEqual(12);
  expect(lines.at(-1)).toMatch(/1,000 of 1,000 students in \d+\.\d s/);
});

test('in a terminal the bar stays one line, and what is said meanwhile stands above it', () => {
  const screen = new Recorder(true);
  fill(screen, { NO_COLOR: '1' });
  const shown = screen.text.split('\n').map((line) => line.slice(line.lastIndexOf('\u001b[K') + '\u001b[K'.length));
  expect(shown).toHaveLength(3);
  expect(shown[0]).toBe('half way');
  expect(shown[1]).toMatch(/1,000 of 1,000 students/);
});

test('colours only where they can be seen and are wanted', () => {
  expect(new Terminal(new Recorder(false), {}).paint('x', 'red')).toBe('x');
  expect(new Terminal(new Recorder(true), { NO_COLOR: '1' }).paint('x', 'red')).toBe('x');
  expect(new Terminal(new Recorder(true), { TERM: 'dumb' }).paint('x', 'red')).toBe('x');
  expect(new Terminal(new Recorder(true), {}).paint('x', 'red')).toBe('\u001b[31mx\u001b[0m');
});
