/** Every package that package.json names has a line in docs/dependencies.md that says why, and no other has one. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = join(__dirname, '../../..');

interface Manifest {
  dependencies: Record<string, string>;
  devDependencies: Record<string, string>;
}

test.each([
  ['At run time', 'dependencies'],
  ['For development', 'devDependencies'],
] as const)('the table "%s" is that of the %s', (heading, kind) => {
  const manifest = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as Manifest;
  const page = readFileSync(join(ROOT, 'docs/dependencies.md'), 'utf8');
  const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  const named = [...section.matchAll(/^\| `([^`]+)` \| [^|]+ \|$/gm)].map(([, name]) => name);
  expect(named.sort()).toEqual(Object.keys(manifest[kind]).sort());
});
