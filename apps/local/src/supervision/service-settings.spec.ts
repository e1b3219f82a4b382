import { checkSettings, environmentOf } from './service-settings';

const DECIDED = { dataDir: '/data', port: 5000, natsPort: 4333 };

/** Where the gateway looks for NATS. */
function natsUrlWith(env: NodeJS.ProcessEnv): string | undefined {
  return environmentOf('gateway', 'gateway', env, DECIDED).NATS_URL;
}

test('services look for NATS where SERVICES_NATS_URL says', () => {
  expect(natsUrlWith({ SERVICES_NATS_URL: 'nats://127.0.0.1:7' })).toBe('nats://127.0.0.1:7');
});

test.each([undefined, '', ' \t'])('and at the port of this cluster where it says nothing: %j', (SERVICES_NATS_URL) => {
  expect(natsUrlWith({ SERVICES_NATS_URL, NATS_URL: 'nats://127.0.0.1:4222' })).toBe('nats://127.0.0.1:4333');
});

test('containers are refused before anything is started: they would outlive the command', () => {
  expect(() => {
    checkSettings({ LAUNCHER: 'docker' }, DECIDED);
  }).toThrow(/^balancer: wrong configuration: LAUNCHER is "docker": this command runs processes only/);
  expect(() => {
    checkSettings({}, DECIDED);
  }).not.toThrow();
});
