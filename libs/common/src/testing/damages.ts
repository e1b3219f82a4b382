/** What a power cut, a failing disk or a clumsy hand does to a file. */
import { copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';

export type Damage = 'gone' | 'empty' | 'cut' | 'zeroed' | 'flipped' | 'of another';

export const DAMAGES: readonly Damage[] = ['gone', 'empty', 'cut', 'zeroed', 'flipped', 'of another'];

/** @param another the same file of another cluster */
export function damage(path: string, how: Damage, another: string): void {
  const before = how === 'gone' || how === 'of another' ? Buffer.alloc(0) : readFileSync(path);
  switch (how) {
    case 'gone':
      rmSync(path);
      break;
    case 'empty':
      writeFileSync(path, '');
      break;
    case 'cut':
      writeFileSync(path, before.subarray(0, Math.floor(before.length / 2)));
      break;
    case 'zeroed':
      writeFileSync(path, Buffer.alloc(before.length));
      break;
    case 'flipped':
      // The lowest bit of the first byte: another digit, another letter.
      writeFileSync(path, Buffer.concat([Buffer.from([(before[0] ?? 0) ^ 1]), before.subarray(1)]));
      break;
    case 'of another':
      copyFileSync(another, path);
      break;
  }
}
