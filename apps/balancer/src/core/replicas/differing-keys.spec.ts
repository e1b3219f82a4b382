import type { DigestReply, VersionDigest } from '#common/contracts/node';
import { DIGEST_PARTS, differingKeys, isAlike, KEYS_NAMED, type Differences, type DigestAsker } from './differing-keys';
import type { Result } from '../kernel/effects';
import { spawn, type Workflow } from '../kernel/workflow';

const WHOLE = { low: 0, high: 9_999 };
const FAILED = { ok: false as const, error: { code: 'OUTCOME_UNKNOWN' as const, message: 'no', retryable: true } };

/** A replica with these versions; it counts what it is asked, and can be made to fail from some question on. */
class Replica implements DigestAsker {
  questions = 0;
  failsFrom = Infinity;
  /** Keys that one page covers. */
  keysPerPage = Infinity;

  constructor(readonly versions: readonly VersionDigest[]) {}

  *page(after: number | null): Workflow<Result<DigestReply>> {
    const low = after === null ? WHOLE.low : after + 1;
    const high = Math.min(WHOLE.high, low + this.keysPerPage - 1);
    yield (resume) => {
      resume(undefined);
    };
    return this.answer({ ...this.sumOf(low, high), next: high === WHOLE.high ? null : high });
  }

  within: DigestAsker['within'] =
    ({ low, high, parts }) =>
    (resume) => {
      const inRange = this.versions.filter(({ key }) => key >= low && key <= high);
      const width = Math.ceil((high - low + 1) / parts);
      const lows = [...new Set(inRange.map(({ key }) => low + Math.floor((key - low) / width) * width))];
      const digests = lows.map((start) => {
        const end = Math.min(high, start + width - 1);
        return { low: start, high: end, ...this.sumOf(start, end) };
      });
      const reply = { ...this.sumOf(low, high), next: null, parts: digests };
      resume(this.answer(inRange.length <= parts ? { ...reply, versions: inRange } : reply));
    };

  private answer(value: DigestReply): Result<DigestReply> {
    this.questions += 1;
    return this.questions >= this.failsFrom ? FAILED : { ok: true, value };
  }

  private sumOf(low: number, high: number): { digest: string; rows: number } {
    const versions = this.versions.filter(({ key }) => key >= low && key <= high);
    const sum = versions.reduce((total, { key, cat, digest }) => total + (key + 1) * 1_000 + cat + Number(digest), 0);
    return { digest: String(sum), rows: versions.length };
  }
}

const versionOf = (key: number): VersionDigest => ({ key, cat: 1, digest: '7' });
const versionsOf = (keys: number, each = 1): VersionDigest[] =>
  Array.from({ length: keys }, (_, index) => versionOf(index * each));
/** The same but for these keys. */
const changed = (versions: readonly VersionDigest[], ...keys: number[]): VersionDigest[] =>
  versions.map((one) => (keys.includes(one.key) ? { ...one, digest: '500' } : one));

function compare(here: Replica, there: Replica): Differences {
  let differences: Differences | undefined;
  spawn(differingKeys(here, there, WHOLE), (found) => {
    differences = found;
  });
  return differences!;
}

describe('two replicas that hold few versions', () => {
  it('shows what each of them has of the keys that differ, in their order', () => {
    const here = new Replica([...changed(versionsOf(5), 3), versionOf(9)]);
    const there = new Replica([...versionsOf(5), { key: 7, cat: 2, digest: '4' }]);
    expect(compare(here, there)).toEqual({
      keys: [
        { key: 3, here: [{ cat: 1, digest: '500' }], there: [{ cat: 1, digest: '7' }] },
        { key: 7, here: [], there: [{ cat: 2, digest: '4' }] },
        { key: 9, here: [{ cat: 1, digest: '7' }], there: [] },
      ],
      count: 3,
      isComplete: true,
    });
  });

  it('names no more keys than an event has room for, and counts all', () => {
    const versions = versionsOf(KEYS_NAMED + 5);
    const { keys, count } = compare(new Replica(versions), new Replica([]));
    expect({ named: keys.length, count }).toEqual({ named: KEYS_NAMED, count: KEYS_NAMED + 5 });
  });
});

describe('replicas that hold more versions than are reported at once', () => {
  const many = versionsOf(2_000, 5);

  it('finds a key that differs between all those that do not', () => {
    const [here, there] = [new Replica(changed(many, 4_000)), new Replica(many)];
    expect(compare(here, there)).toMatchObject({ keys: [{ key: 4_000 }], count: 1, isComplete: true });
    // Only where they differ is looked further.
    expect(here.questions).toBeLessThanOrEqual(4);
  });

  it('finds what only one of them has, whichever it is', () => {
    // Alone in its part of the keys.
    const lonely = { key: 9_999, cat: 1, digest: '1' };
    const found = { keys: [{ key: 9_999 }], count: 1, isComplete: true };
    expect(compare(new Replica([...many, lonely]), new Replica(many))).toMatchObject(found);
    expect(compare(new Replica(many), new Replica([...many, lonely]))).toMatchObject(found);
  });

  it('finds every key where only one of them has so few that it reports each', () => {
    const [few, more] = [versionsOf(3), versionsOf(DIGEST_PARTS + 10)];
    const count = more.length - few.length;
    expect(compare(new Replica(few), new Replica(more))).toMatchObject({ count, isComplete: true });
    expect(compare(new Replica(more), new Replica(few))).toMatchObject({ count, isComplete: true });
  });

  it('names a key that has more versions than are reported at once', () => {
    const piled = Array.from({ length: DIGEST_PARTS + 1 }, (_, cat) => ({ key: 5, cat, digest: '7' }));
    expect(compare(new Replica(piled), new Replica([versionOf(5)]))).toEqual({
      keys: [{ key: 5, here: [], there: [] }],
      count: 1,
      isComplete: true,
    });
  });
});

describe('a shard of many pages', () => {
  it('asks once for each page that is alike, however many there are', () => {
    const versions = versionsOf(200, 50);
    const [here, there] = [new Replica(changed(versions, 9_950)), new Replica(versions)];
    there.keysPerPage = 50;
    expect(compare(here, there)).toMatchObject({ keys: [{ key: 9_950 }], count: 1, isComplete: true });
    expect(here.questions).toBe(201);
  });

  it('says that there may be more when too much differs to look at all of it', () => {
    const versions = versionsOf(200, 50);
    const there = new Replica(versions);
    there.keysPerPage = 50;
    const { count, isComplete } = compare(new Replica(changed(versions, ...versions.map(({ key }) => key))), there);
    expect(isComplete).toBe(false);
    expect(count).toBeGreaterThan(KEYS_NAMED);
    expect(count).toBeLessThan(200);
  });
});

it.each([
  ['the first page', 1],
  ['what is compared in parts', 2],
])('says that there may be more when one of them does not answer for %s', (_, failsFrom) => {
  const versions = versionsOf(10);
  for (const isHere of [true, false]) {
    const [here, there] = [new Replica(changed(versions, 3)), new Replica(versions)];
    (isHere ? here : there).failsFrom = failsFrom;
    expect(compare(here, there)).toEqual({ keys: [], count: 0, isComplete: false });
  }
});

it('takes replicas for alike only with as many rows and the same digest', () => {
  const one = { digest: '1', rows: 1 };
  expect(isAlike(one, { ...one })).toBe(true);
  expect(isAlike(one, { ...one, rows: 2 })).toBe(false);
  expect(isAlike(one, { ...one, digest: '2' })).toBe(false);
});
