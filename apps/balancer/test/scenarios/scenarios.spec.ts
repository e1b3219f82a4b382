/**
 * Stories about the protocol: each file shows what happens to a small cluster, step by step, and what was recorded when it happened.
 * `UPDATE_SCENARIOS=1 npx jest apps/balancer/test/scenarios` records them again; read the difference before you keep it.
 */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Stage } from './runner/stage';
import { formatStory, parseStory } from './runner/story-file';

const files = readdirSync(__dirname)
  .filter((name) => /^\d\d-.*\.txt$/.test(name))
  .sort();

describe('stories about the protocol', () => {
  it.each(files)('%s', async (file) => {
    const path = join(__dirname, file);
    const story = parseStory(readFileSync(path, 'utf8'));
    const output = await new Stage().perform(story.lines);
    if (process.env.UPDATE_SCENARIOS === '1') writeFileSync(path, formatStory(story, output));
    else expect(output).toBe(story.recorded);
  });

  it('are all listed in docs/scenarios.md, for those who look for one', () => {
    const page = readFileSync(join(__dirname, '../../../../docs/scenarios.md'), 'utf8');
    const listed = [...page.matchAll(/test\/scenarios\/(\S+\.txt)\)/g)].map(([, name]) => name);
    expect(listed).toEqual(files);
  });
});
