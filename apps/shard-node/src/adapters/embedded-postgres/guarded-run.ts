/** Runs one of Postgres's programs to its end. */
import { spawnGuarded } from '#common/process/guard';
import type { Invocation } from './run-as';

const OUTPUT_LIMIT = 4_000;

/**
 * Runs a program that ends by itself; it does not outlive us.
 *
 * @throws Error with the end of what it wrote, when it fails or takes longer than `timeoutMs`
 */
export async function runGuarded({ program, args, ...as }: Invocation, timeoutMs: number): Promise<void> {
  const child = spawnGuarded(program, args, 'KILL', { ...as, cwd: '/', stdout: 'pipe' });
  let output = '';
  const keep = (chunk: Buffer): void => {
    output = (output + chunk.toString('utf8')).slice(-OUTPUT_LIMIT);
  };
  child.stdout?.on('data', keep);
  child.stderr?.on('data', keep);
  const overdue = setTimeout(() => child.stdin?.end(), timeoutMs);
  try {
    const status = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject);
      child.once('close', resolve);
    });
    if (status !== 0) throw new Error(`${program} failed with ${String(status)}: ${output.trim()}`);
  } finally {
    clearTimeout(overdue);
  }
}
