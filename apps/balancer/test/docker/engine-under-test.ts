/** The real engine that Docker tests run on, looked at by its own command line program, not through our launcher. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';

const COMMAND_TIMEOUT_MS = 120_000;

const run = promisify(execFile);

/** What `docker` prints. @throws when it fails */
export async function docker(...args: string[]): Promise<string> {
  const { stdout } = await run('docker', args, { timeout: COMMAND_TIMEOUT_MS, maxBuffer: 64 << 20 });
  return stdout.trim();
}

/** The exit status of a program in a container, and what it prints. */
export async function execIn(container: string, env: string[], ...command: string[]): Promise<[number, string]> {
  const args = ['exec', ...env.flatMap((variable) => ['--env', variable]), container, ...command];
  try {
    return [0, await docker(...args)];
  } catch (error) {
    const { code, stdout = '' } = error as { code?: unknown; stdout?: string };
    if (typeof code !== 'number') throw error;
    return [code, stdout.trim()];
  }
}

/** The image of ours that is tried. @throws when `make test-docker` did not say it */
export function testedImage(): string {
  const image = process.env.SHARDLINE_IMAGE ?? '';
  if (image === '') throw new Error('SHARDLINE_IMAGE is not set: run this by "make test-docker"');
  return image;
}

/** The address of the engine, as the balancer takes it. */
export function engineHost(): string {
  return process.env.DOCKER_HOST ?? 'unix:///var/run/docker.sock';
}

/** Ids of what bears the label of the cluster. */
export async function containersOf(cluster: string, ...more: string[]): Promise<string[]> {
  return linesOf(await docker('ps', '--no-trunc', '-q', '--filter', `label=io.shardline.cluster=${cluster}`, ...more));
}

export async function volumesOf(cluster: string): Promise<string[]> {
  return linesOf(await docker('volume', 'ls', '-q', '--filter', `label=io.shardline.cluster=${cluster}`));
}

/** Removes every container, volume and network of the cluster. */
export async function removeCluster(cluster: string): Promise<void> {
  const containers = await containersOf(cluster, '--all');
  if (containers.length > 0) await docker('rm', '--force', ...containers);
  const volumes = await volumesOf(cluster);
  if (volumes.length > 0) await docker('volume', 'rm', '--force', ...volumes);
  const networks = linesOf(await docker('network', 'ls', '-q', '--filter', `label=io.shardline.cluster=${cluster}`));
  if (networks.length > 0) await docker('network', 'rm', ...networks);
}

function linesOf(text: string): string[] {
  return text.split('\n').filter((line) => line !== '');
}
