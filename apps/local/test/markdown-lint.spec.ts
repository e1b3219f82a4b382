/** What `npm run lint:words` finds in Markdown, tried on pages that break its rules. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { projectRoot } from '#common/process/project-root';

const FOLDER = mkdtempSync(join(tmpdir(), 'shardline-markdown-'));
const LONG = 'word '.repeat(29).trim();
const WIDE = 'w'.repeat(101);

afterAll(() => {
  rmSync(FOLDER, { recursive: true });
});

/** Lines of the page with what is wrong there, and the exit status. */
function lint(page: string, name = 'page.md'): { status: number | null; found: string[] } {
  const file = join(FOLDER, name);
  writeFileSync(file, page);
  const { status, stderr } = spawnSync(process.execPath, ['scripts/lint/markdown.mjs', file], {
    cwd: projectRoot(),
    encoding: 'utf8',
  });
  const found = stderr.split('\n').filter((line) => line.startsWith(`${file}:`));
  return { status, found: found.map((line) => line.slice(file.length + 1)) };
}

test.each([
  ['a plain page', '# Page\n\nA replica is sent the VAT. It stores that.\n'],
  ['a sentence of 29 words', `${wrapped(LONG)}.\n`],
  ['sentences that are short, though the paragraph is long', `${wrapped(LONG)}.\n${wrapped(LONG)}!\n`],
  ['long lines of a table', `| a | b |\n| --- | --- |\n| ${'short. '.repeat(20)} | ${'short. '.repeat(20)} |\n`],
  ['long lines of code', `\`\`\`\n${WIDE} ${WIDE}\n\`\`\`\n`],
  ['a long link', `See [the page](https://example.com/${WIDE}).\n`],
  ['private words in code type, and within other words', '`told` and `set back`, told-ish planets.\n'],
])('lets %s pass', (_what, page) => {
  expect(lint(page)).toEqual({ status: 0, found: [] });
});

test.each([
  ['a line of 101 characters', `# Page\n\n${WIDE}\n`, /^3: a line of 101 characters/],
  ['a sentence of 30 words', `Short.\n\n${wrapped(`${LONG} word`)}.\n`, /^3: a sentence of 30 words: "word /],
  ['a sentence with code in it', `${wrapped(`${LONG} \`some code\``)}.\n`, /^1: a sentence of 30 words/],
  ['a long sentence of a list', `- Short.\n- ${wrapped(`${LONG} word`)}\n`, /^2: a sentence of 30 words/],
  ['a long sentence of a table', `| a |\n| --- |\n| ${LONG} word |\n`, /^3: a sentence of 30 words/],
  ['a cell of 301 characters', `| a |\n| --- |\n| ${'w'.repeat(301)} |\n`, /^3: a cell of 301 characters/],
  ['a private word', 'A replica\nwas told.\n', /^2: "told" is a word of our own: say "send, /],
  ['a private word over two lines', 'The bucket was set\nback.\n', /^1: "set back" .* "rolled back"/],
  ['a private word in a heading', '# Told\n', /^1: "Told"/],
])('finds %s, and where', (_what, page, finding) => {
  const { status, found } = lint(page);
  expect(found).toEqual([expect.stringMatching(finding)]);
  expect(status).toBe(1);
});

it('reads the prose of a story, not its commands', () => {
  const { found } = lint(`A story\n\nS0 was told.\n---\n# S0 was told.\nwrite 1=${WIDE}\n`, 'story.txt');
  expect(found).toEqual([expect.stringMatching(/^3: "told"/)]);
});

/** The text in lines of at most 100 characters. */
function wrapped(text: string): string {
  return text.replace(/(.{60}) /g, '$1\n');
}
