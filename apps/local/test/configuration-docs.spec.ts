/** Every setting in the code stands in docs/configuration.md with its default and its bounds, and nothing else does. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { SETTINGS } from '#common/process/environment';

const ROOT = join(__dirname, '../../..');

/** A setting as a reader needs it: texts as they stand in the page's cells. */
interface Setting {
  default: string;
  /** Undefined where the code does not spell them. */
  bounds: string | undefined;
}

/** The sources of the settings, by the heading of their table. Read as text: bounds are written there as people read them. */
const SOURCES: [heading: string, file: string][] = [
  ['Every service', 'libs/common/src/config/env.ts'],
  ['Gateway', 'libs/common/src/config/gateway-config.ts'],
  ['Balancer', 'libs/common/src/config/balancer-config.ts'],
  ['Shard-node', 'libs/common/src/config/shard-node-config.ts'],
];

const CONSTANTS: Record<string, number> = { MIB: 1024 * 1024 };
const CHOICES: Record<string, string> = { CONFLICT_POLICIES: "['error', 'ignore', 'replace']" };

function textOf(file: string): string {
  return readFileSync(join(ROOT, file), 'utf8');
}

/** The rows of the table under a heading, by variable. */
function documented(page: string, heading: string): Map<string, Setting> {
  const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  const rows = section.matchAll(/^\| `([A-Z0-9_]+)` \| ([^|]*) \| ([^|]*?) ?\| [^|]+ \|$/gm);
  return new Map([...rows].map(([, name = '', value = '', bounds = '']) => [name, { default: value, bounds }]));
}

/** The settings of a zod shape: lines such as `  PORT: setting.int(5_000, 0, 65_535),`, possibly broken into several. */
function declared(source: string): Map<string, Setting> {
  const settings = new Map<string, Setting>();
  for (const [, name = '', kind = '', args = ''] of source.matchAll(
    /^ +([A-Z][A-Z0-9_]+): (setting\.\w+|z\s*\.\w+)\(((?:[^()]|\((?:[^()]|\([^()]*\))*\))*)\)/gm,
  )) {
    settings.set(name, kind.startsWith('z') ? withoutKind(source, name) : ofKind(kind.slice('setting.'.length), args));
  }
  return settings;
}

function ofKind(kind: string, args: string): Setting {
  if (kind === 'choice') {
    const [, choices = '', value = ''] = /^(.*), '([^']+)'$/s.exec(args) ?? [];
    const names = [...(CHOICES[choices] ?? choices).matchAll(/'([^']+)'/g)].map(([, choice = '']) => `\`${choice}\``);
    return { default: `\`${value}\``, bounds: names.join(', ') };
  }
  if (kind === 'flag') return { default: `\`${args}\``, bounds: '`true`, `false`, `1`, `0`' };
  if (kind === 'int' || kind === 'number') {
    const [value = NaN, min = NaN, max = NaN] = args.split(',').map(numberOf);
    return { default: `\`${value}\``, bounds: `${min} to ${max}` };
  }
  const text = args
    .slice(1, -1)
    .replace(/\$\{hostname\(\)[^}]*\}/, '<host>')
    .replace('${process.pid}', '<pid>');
  return { default: `\`${text}\``, bounds: undefined };
}

/** What zod itself declares: required, unset, or with a default that is made up later. */
function withoutKind(source: string, name: string): Setting {
  const declaration = new RegExp(`^ +${name}: (z[^]*?),\\n`, 'm').exec(source)?.[1] ?? '';
  if (!declaration.endsWith('.optional()')) return { default: 'required', bounds: undefined };
  const made = new RegExp(`given\\.${name} \\?\\? join\\(([^)]+)\\)`).exec(source)?.[1];
  if (made === undefined) return { default: 'unset', bounds: undefined };
  const parts = made.split(', ').map((part) => part.replace(/^'(.*)'$/, '$1').replace(/^given\.(\w+)$/, '<$1>'));
  return { default: `\`${parts.join('/')}\``, bounds: undefined };
}

/** `2 ** 32 - 1`, `4 * MIB`, `600_000`. */
function numberOf(text: string): number {
  const [first = '', ...rest] = text.split(' - ');
  const product = first
    .split(' * ')
    .map((factor) => factor.split(' ** ').map(atom))
    .reduce((total, [base = NaN, exponent = 1]) => total * base ** exponent, 1);
  return rest.reduce((total, part) => total - atom(part), product);
}

function atom(text: string): number {
  const name = text.trim();
  return CONSTANTS[name] ?? Number(name.replaceAll('_', ''));
}

describe('docs/configuration.md', () => {
  const page = textOf('docs/configuration.md');

  test.each(SOURCES)('names every setting of %s, its default and its bounds', (heading, file) => {
    const source = textOf(file);
    const settings = declared(source);
    const rows = documented(page, heading);
    const mentioned = [...source.matchAll(/^ +([A-Z][A-Z0-9_]+): (?:setting|z)\b/gm)].map(([, name]) => name);
    expect([...settings.keys()]).toEqual(mentioned);
    expect(settings.size).toBeGreaterThan(2);
    expect([...rows.keys()].sort()).toEqual([...settings.keys()].sort());
    for (const [name, { default: value, bounds }] of settings) {
      const row = rows.get(name);
      expect({ name, default: row?.default }).toEqual({ name, default: value });
      if (bounds !== undefined) expect({ name, bounds: row?.bounds }).toEqual({ name, bounds });
    }
  });

  test.each(SOURCES)('and the environment of children have every setting of %s', (heading, file) => {
    const lists: Record<string, readonly string[]> = {
      'Every service': SETTINGS.common,
      Gateway: SETTINGS.gateway,
      Balancer: SETTINGS.balancer,
      'Shard-node': [...SETTINGS.shardNode, 'DATABASE_URL'],
    };
    expect([...(lists[heading] ?? [])].sort()).toEqual([...declared(textOf(file)).keys()].sort());
  });

  test("tells the launcher's options with their defaults", () => {
    const options = [
      ...textOf('apps/local/src/cli/options.ts').matchAll(/^ {8}'?([\w-]+)'?: \{.*default: '([^']+)'/gm),
    ];
    expect(options.length).toBe(3);
    for (const [, name = '', value = ''] of options) {
      expect(page).toMatch(new RegExp(`\`--${name}\` \\(\`?${value.replace('.', '\\.')}\`?\\)`));
    }
  });
});
