/** Settings and their bounds, as docs/configuration.md promises them: for tests that try each bound, and one beyond. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { projectRoot } from '../process/project-root';

export interface DocumentedBounds {
  name: string;
  min: number;
  max: number;
}

/** Of the settings under a heading, those with a lower and an upper bound. */
export function documentedBounds(heading: string): DocumentedBounds[] {
  const page = readFileSync(join(projectRoot(), 'docs', 'configuration.md'), 'utf8');
  const section = page.split(/^## /m).find((part) => part.startsWith(`${heading}\n`)) ?? '';
  const rows = section.matchAll(/^\| `([A-Z0-9_]+)` \| [^|]* \| (\d+) to (\d+) \|/gm);
  return [...rows].map(([, name = '', min, max]) => ({ name, min: Number(min), max: Number(max) }));
}
