/** Every file that the pages name is there: a page that sends its reader to a file that was moved is worse than none. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

const ROOT = join(__dirname, '../../..');
const FILES = execFileSync('git', ['ls-files'], { cwd: ROOT, encoding: 'utf8' }).trimEnd().split('\n');
const NAMES = new Set(FILES.map((file) => basename(file)));
/** Those about the past are right to name what is gone. */
const PAGES = FILES.filter((file) => /[.]md$/.test(file) && !['CHANGELOG.md', 'docs/bugs-found.md'].includes(file));

/** Sources named in code type: `src/core/writer.ts` (from the page's folder, or from the root) or `writer.ts` alone. */
function named(page: string): string[] {
  const text = readFileSync(join(ROOT, page), 'utf8');
  return [...text.matchAll(/`([\w./-]+[.](?:ts|js|cjs|mjs))`/g)].map(([, name = '']) => name);
}

/** Where a relative link leads. */
function linked(page: string): string[] {
  const text = readFileSync(join(ROOT, page), 'utf8').replace(/```[\s\S]*?```/g, '');
  const targets = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)/g)].map(([, target = '']) => target);
  return targets.map((target) => join(dirname(page), target).replace(/\/$/, ''));
}

it('there are pages', () => {
  expect(PAGES).toEqual(expect.arrayContaining(['README.md', 'docs/architecture.md', 'apps/balancer/DESIGN.md']));
});

it.each(PAGES)('%s names no file that is not there', (page) => {
  const isThere = (name: string): boolean =>
    name.includes('/') ? FILES.some((file) => file === name || file.endsWith(`/${name}`)) : NAMES.has(name);
  expect(named(page).filter((name) => !isThere(name) && !name.startsWith('dist/'))).toEqual([]);
});

it.each(PAGES)('%s links to nothing that is not there', (page) => {
  const isThere = (target: string): boolean => FILES.some((file) => file === target || file.startsWith(`${target}/`));
  expect(linked(page).filter((target) => !isThere(target))).toEqual([]);
});

it('the diagram of the rooms of the core shows them all, from the top down', () => {
  const { ROOMS } = jest.requireActual<{ ROOMS: Record<string, string[][]> }>('../../../scripts/rooms.cjs');
  const rooms = (ROOMS['apps/balancer/src/core'] ?? []).flat().filter((room) => room !== '.');
  const page = readFileSync(join(ROOT, 'docs/architecture.md'), 'utf8');
  const drawn = [...page.matchAll(/\b([a-z]+)\["\1<br>/g)].map(([, room]) => room);
  expect(drawn).toEqual(rooms);
});
