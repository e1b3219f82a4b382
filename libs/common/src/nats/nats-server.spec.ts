import { natsServerConfig } from './nats-server';

const config = natsServerConfig({ host: '127.0.0.1', port: 4600, dir: '/tmp/a "b"' });

test('what JetStream acknowledges is on the disk, which by default it is not', () => {
  expect(config).toMatch(/jetstream \{[^}]*sync_interval: always\n/);
});

test('a disk with little room, or none, at the start of the broker does not keep the cluster from coming back', () => {
  expect(config).toMatch(/jetstream \{[^}]*max_file_store: 1TB\n/);
});

test('the broker takes 8 MiB, listens on this machine only, and any folder may hold its files', () => {
  expect(config).toContain('max_payload: 8388608\n');
  expect(config).toContain('listen: "127.0.0.1:4600"\n');
  expect(config).toContain(String.raw`store_dir: "/tmp/a \"b\""`);
});
