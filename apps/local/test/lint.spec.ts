/** The lint rules of this repository, tried on code that breaks them. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { projectRoot } from '#common/process/project-root';

const ROOT = projectRoot();
const run = promisify(execFile);
jest.setTimeout(300_000);

interface Finding {
  ruleId: string;
  line: number;
}

/** Reads the project once for all files: that is what takes long. */
const PROGRAM = `
import { ESLint } from 'eslint';
const { code, files } = JSON.parse(process.argv[1]);
const eslint = new ESLint();
const found = [];
for (const filePath of files) found.push(...(await eslint.lintText(code, { filePath })));
process.stdout.write(JSON.stringify(found.map(({ messages }) => messages)));
`;

/** The rules that the lines break in each of the files, by the line's number. */
async function broken(files: readonly string[], lines: readonly string[]): Promise<[number, string][][]> {
  const asked = JSON.stringify({ code: lines.join('\n'), files: files.map((file) => join(ROOT, file)) });
  const { stdout } = await run(process.execPath, ['--input-type=module', '-e', PROGRAM, asked], { cwd: ROOT });
  return (JSON.parse(stdout) as Finding[][]).map((messages) =>
    messages
      .filter(({ ruleId }) => /^(regexp|shardline)\//.test(ruleId))
      .map(({ line, ruleId }): [number, string] => [line, ruleId]),
  );
}

const CODE = [
  'const all: number[] = [];',
  'const two: [number, number] = [1, 2];',
  'function take(...numbers: readonly number[]): number { return numbers.length; }',
  'export const fine = [take(...two), take(...[1, 2]), take(1, 2), [...all, 1]];',
  'all.push(...fine.flat());',
  'export const highest = Math.max(0, ...all);',
  'export const taken = take(...[1, ...all]);',
  'export const applied = Math.min.apply(null, all);',
  'export const made = new Array<number>(...all);',
  'export const forwarded = (...rest: number[]): number => take(...rest);',
  String.raw`export const ends = /0+$/.exec('1.0');`,
  String.raw`export const nested = /^(a+)+$/.test('aa');`,
  String.raw`export const linear = /^(?:0|[1-9]\d*)$/.test('10');`,
  "export const text = 'the shard was set back';",
  'export const built = `S0 was told ${all.length} times`;',
  "export const words = ['told', 'lane'];",
];

const FILES = [
  'apps/gateway/src/bus/batching/request-batcher.ts',
  'apps/balancer/src/core/requests/writer.ts',
  'apps/shard-node/src/core/serving.ts',
];

test('no list of unknown length becomes arguments, no expression is slower than linear, no text has a private word', async () => {
  const found = await broken(FILES, CODE);
  expect(found).toHaveLength(FILES.length);
  for (const ofFile of found) {
    expect(ofFile).toEqual([
      [5, 'shardline/no-spread-into-calls'],
      [6, 'shardline/no-spread-into-calls'],
      [7, 'shardline/no-spread-into-calls'],
      [8, 'shardline/no-spread-into-calls'],
      [9, 'shardline/no-spread-into-calls'],
      [10, 'shardline/no-spread-into-calls'],
      [11, 'regexp/no-super-linear-move'],
      [12, 'regexp/no-super-linear-backtracking'],
      [14, 'shardline/plain-texts'],
      [15, 'shardline/plain-texts'],
    ]);
  }
});
