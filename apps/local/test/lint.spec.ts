/** The lint rules of this repository, tried on code that breaks them. */
import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { projectRoot } from '#common/process/project-root';

const ROOT = projectRoot();
jest.setTimeout(300_000);

interface Finding {
  ruleId: string;
  line: number;
}

/** The rules that the lines break, by the line's number. */
async function broken(file: string, lines: readonly string[]): Promise<[number, string][]> {
  const output = await new Promise<string>((resolve, reject) => {
    const eslint = join(ROOT, 'node_modules', 'eslint', 'bin', 'eslint.js');
    const args = [eslint, '--stdin', '--stdin-filename', join(ROOT, file), '--format', 'json'];
    // Its status is 1 when there are findings; what it found is on standard output all the same.
    const child = execFile(process.execPath, args, { cwd: ROOT }, (error, stdout, stderr) => {
      if (stdout === '') reject(new Error(`ESLint said nothing: ${error?.message ?? ''} ${stderr}`));
      else resolve(stdout);
    });
    child.stdin?.end(lines.join('\n'));
  });
  const [{ messages }] = JSON.parse(output) as [{ messages: Finding[] }];
  return messages
    .filter(({ ruleId }) => /^(regexp|shardline)\//.test(ruleId))
    .map(({ line, ruleId }): [number, string] => [line, ruleId]);
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

test.each([
  'apps/gateway/src/bus/batching/request-batcher.ts',
  'apps/balancer/src/core/requests/writer.ts',
  'apps/shard-node/src/core/serving.ts',
])(
  'in %s no list of unknown length becomes arguments, no expression is slower than linear, no text has a private word',
  async (file) => {
    expect(await broken(file, CODE)).toEqual([
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
  },
);
