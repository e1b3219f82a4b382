import { createInterface } from 'node:readline';
import { join } from 'node:path';
import { spawnTypeScript } from '#common/testing/typescript-process';
import { CASES } from './cases';

jest.setTimeout(900_000);

let faults: Map<string, string | null>;

beforeAll(async () => {
  const child = spawnTypeScript(join(__dirname, 'main.ts'), []);
  faults = new Map();
  for await (const line of createInterface({ input: child.stdout! })) {
    const [name, fault] = JSON.parse(line) as [string, string | null];
    faults.set(name, fault);
  }
});

test.each(Object.keys(CASES))('the work grows no faster than the input: %s', (name) => {
  expect(faults.get(name)).toBeNull();
});
