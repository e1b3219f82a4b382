import { isAbsolute } from 'node:path';
import { parseOptions } from './options';

test('without a word: a cluster on the default ports in .shardline', () => {
  const options = parseOptions([]);
  expect(options).toMatchObject({ command: 'run', port: 5000, natsPort: 4222, shownDataDir: '.shardline' });
  expect(isAbsolute(options.dataDir)).toBe(true);
});

test('ports and folder are taken, in whatever order they stand', () => {
  const options = parseOptions(['--nats-port=4600', 'demo', '--port', '5600', '--data-dir', '/tmp/x']);
  expect(options).toMatchObject({ command: 'demo', port: 5600, natsPort: 4600, dataDir: '/tmp/x' });
});

test.each([
  [['fly'], /unknown command "fly"/],
  [['run', 'stop'], /unexpected argument "stop"/],
  [['--port', '0'], /--port is "0"/],
  [['--port', '65536'], /--port is "65536"/],
  [['--port', '5e3'], /--port is "5e3"/],
  [['--port', ''], /--port is ""/],
  [['--nats-port', '-1'], /nats-port/],
  [['--port', '4222'], /both 4222/],
  [['--data-dir', ''], /--data-dir is empty/],
  [['--colour'], /--colour/],
])('%j is refused', (args, why) => {
  expect(() => parseOptions(args)).toThrow(why);
});
