/**
 * A story's file: a title, some sentences, a line `---`, the commands (and remarks behind `#`), and behind the separator what was
 * recorded when they were carried out.
 */
export interface Story {
  title: string;
  /** Everything above the separator, as it stands in the file. */
  head: string;
  /** Commands and remarks, in their order. */
  lines: readonly string[];
  /** Null in one that was never recorded. */
  recorded: string | null;
}

const SEPARATOR = '=== recorded ===';
const COMMANDS_BEGIN = '---';

export function parseStory(text: string): Story {
  const [head = '', recorded] = text.split(`\n${SEPARATOR}\n`);
  const lines = head.split('\n').map((line) => line.trim());
  const begin = lines.indexOf(COMMANDS_BEGIN);
  if (begin === -1) throw new Error(`a story has its commands behind a line "${COMMANDS_BEGIN}"`);
  return {
    title: lines[0] ?? '',
    head: head.trimEnd(),
    lines: lines.slice(begin + 1).filter((line) => line !== ''),
    recorded: recorded?.trimEnd() ?? null,
  };
}

export function formatStory({ head }: Story, recorded: string): string {
  return `${head}\n\n${SEPARATOR}\n${recorded}\n`;
}
