/** Which shard is compared when, what counts as proof, and what is done about replicas that differ: see also `divergence.spec.ts`. */
import type { Ask, Result } from '../src/core/kernel/effects';
import { Scrub } from '../src/core/healing/scrub';
import { spawn, wait } from '../src/core/kernel/workflow';
import { Bench, FENCED, VAT } from './support/bench';
import { SILENCE } from './support/parts-of-the-core';

const INTERVAL_MS = 900;
const SHARDS = ['a', 'b', 'c'];

function withScrub(servers: number, shards?: readonly string[]): { bench: Bench; scrub: Scrub } {
  const bench = new Bench(servers, shards);
  const { context, cluster, divergence, writer, settings, fenced } = bench;
  const scrub = new Scrub(context, cluster, divergence, writer, settings, fenced);
  bench.tick = () => {
    scrub.tick();
  };
  return { bench, scrub };
}

/** The shards that were compared, in the order in which they were. */
function compared(bench: Bench): string[] {
  const asks = bench.asked('digest').filter(({ server, request }) => server === 'S0' && request.within === undefined);
  return asks.map(({ request }) => request.shard);
}

const isDigestOf =
  (...servers: string[]) =>
  (ask: Ask): boolean =>
    ask.do === 'digest' && servers.includes(ask.server) && ask.request.within === undefined;

/** These servers do not answer what they show. */
function deafen(bench: Bench, ...servers: string[]): void {
  const isDeaf = isDigestOf(...servers);
  bench.answer = (ask) => (isDeaf(ask) ? SILENCE : undefined);
}

/** Long enough for a page to be asked for as often as it is. */
const PATIENT_MS = 2_000;

/** What an administrator is answered who asks for a comparison of all shards. */
function askForAll(bench: Bench, scrub: Scrub, ms = 0): Result<unknown> | undefined {
  bench.tick = () => undefined;
  bench.forget();
  scrub.scrubNow(1);
  bench.pass(ms);
  return answerTo(bench, 1);
}

function answerTo(bench: Bench, request: number): Result<unknown> | undefined {
  const answers = bench.effects.flatMap((effect) =>
    effect.do === 'answerAdmin' && effect.request === request ? [effect.outcome] : [],
  );
  return answers[0];
}

function dispute(bench: Bench, ...shards: string[]): void {
  for (const id of shards) {
    const shard = bench.shardOf(id);
    shard.setRecord({ ...shard.record, disputed: true });
    // Whoever is silent leaves it open who is right.
    bench.answer = (ask) => (isDigestOf('S1')(ask) ? SILENCE : undefined);
  }
}

describe('which shard is compared next', () => {
  it('is the one that has waited longest, each once in the interval, beginning with another one than the leader before', () => {
    const { bench } = withScrub(2, SHARDS);
    bench.cluster.begin(4);
    bench.cluster.phase = 'serving';
    bench.pass(2 * INTERVAL_MS);
    expect(compared(bench)).toEqual(['b', 'c', 'a', 'b', 'c', 'a'].slice(0, compared(bench).length));
    expect(compared(bench).length).toBeGreaterThanOrEqual(5);
  });

  it('a new shard is compared before those that have been', () => {
    const { bench } = withScrub(2, SHARDS);
    bench.pass(INTERVAL_MS + 100);
    bench.forget();
    bench.cluster.addShard(bench.newShard('z', 90, ['S0', 'S1']));
    bench.pass(INTERVAL_MS);
    expect(compared(bench)[0]).toBe('z');
  });

  it('no shard counts as looked at while the configuration is being replaced', () => {
    const { bench } = withScrub(2, SHARDS);
    bench.pass(INTERVAL_MS / 3 + 100);
    expect(compared(bench)).toEqual(['a']);
    bench.cluster.phase = 'configuring';
    bench.pass(INTERVAL_MS - 100);
    bench.cluster.phase = 'serving';
    bench.pass(INTERVAL_MS / 3);
    expect(compared(bench)).toEqual(['a', 'b']);
  });

  it('none is while another one is still being compared, however long that takes', () => {
    const { bench } = withScrub(2, SHARDS);
    bench.answer = (ask) => (isDigestOf('S0', 'S1')(ask) ? null : undefined);
    bench.pass(20 * INTERVAL_MS);
    bench.answer = () => undefined;
    for (const ask of [...bench.open]) bench.resolve(ask);
    expect(compared(bench)).toEqual(['a']);
  });

  it('a cluster without shards asks nothing', () => {
    const { bench } = withScrub(2);
    bench.cluster.shards.clear();
    bench.cluster.addShards([]);
    bench.pass(2 * INTERVAL_MS);
    expect(bench.effects).toEqual([]);
  });

  it('a replica that is alone is not read through: there is nothing to compare it with', () => {
    const { bench, scrub } = withScrub(1);
    expect(askForAll(bench, scrub)).toEqual({
      ok: true,
      value: { scrub: { shards: [{ shard: 'sh0', vat: VAT, compared: [], missing: ['S0'], diverged: [] }] } },
    });
    expect(bench.asked('digest')).toEqual([]);
  });
});

describe('a shard of which it is open who is right', () => {
  it('is looked at again each second, not all the time', () => {
    const { bench } = withScrub(3);
    bench.settings.scrubIntervalMs = 0;
    dispute(bench, 'sh0');
    bench.node('S2').digest = '2';
    bench.pass(10_000);
    // A page that does not come is asked for three times, which takes a second by itself.
    expect(compared(bench).length).toBeLessThanOrEqual(10);
    expect(compared(bench).length).toBeGreaterThanOrEqual(5);
    bench.answer = (ask) => (ask.do === 'digest' ? FENCED : undefined);
    bench.pass(2_000);
    bench.forget();
    bench.pass(10_000);
    expect(compared(bench)).toHaveLength(10);
  });

  it('takes its turn with the others of that kind', () => {
    const { bench } = withScrub(3, SHARDS);
    bench.settings.scrubIntervalMs = 0;
    dispute(bench, ...SHARDS);
    bench.answer = (ask) => (ask.do === 'digest' ? FENCED : undefined);
    bench.pass(6_000);
    expect(compared(bench)).toEqual(['a', 'b', 'c', 'a', 'b', 'c']);
  });

  it('has no turn as long as its VAT is not known', () => {
    const { bench } = withScrub(3, SHARDS);
    bench.settings.scrubIntervalMs = 0;
    dispute(bench, 'a', 'b');
    Object.assign(bench.shardOf('a'), { resolved: false, decided: false });
    bench.answer = (ask) => (ask.do === 'digest' ? FENCED : undefined);
    bench.pass(4_000);
    expect(compared(bench)).toEqual(['b', 'b', 'b', 'b']);
  });

  it('is not asked about again while a comparison is under way', () => {
    const { bench } = withScrub(3);
    bench.settings.scrubIntervalMs = 0;
    dispute(bench, 'sh0');
    bench.answer = (ask) => (isDigestOf('S0', 'S1', 'S2')(ask) ? null : undefined);
    bench.pass(10_000);
    bench.answer = (ask) => (ask.do === 'digest' ? SILENCE : undefined);
    for (const ask of [...bench.open]) bench.resolve(ask, FENCED);
    expect(compared(bench)).toHaveLength(1);
  });
});

describe('a comparison of all members ends the dispute', () => {
  function disputed(servers: number): { bench: Bench; scrub: Scrub } {
    const made = withScrub(servers);
    dispute(made.bench, 'sh0');
    made.bench.answer = () => undefined;
    return made;
  }

  it('when all show the same: nobody leaves', () => {
    const { bench, scrub } = disputed(3);
    askForAll(bench, scrub);
    expect(bench.shard.record.disputed).toBeUndefined();
    expect(bench.shard.inSync).toEqual(['S0', 'S1', 'S2']);
  });

  it('when it shows who is wrong', () => {
    const { bench, scrub } = disputed(3);
    bench.node('S2').digest = '2';
    askForAll(bench, scrub);
    expect(bench.shard.record.disputed).toBeUndefined();
    expect(bench.shard.inSync).toEqual(['S0', 'S1']);
  });

  it('not when it is half of them that show the same, and the others say nothing', () => {
    const { bench, scrub } = disputed(4);
    deafen(bench, 'S2', 'S3');
    askForAll(bench, scrub, PATIENT_MS);
    expect(bench.shard.record.disputed).toBe(true);
  });
});

describe('an administrator who asks for all shards', () => {
  it('hears who did not answer, as does whoever listens to events', () => {
    const { bench, scrub } = withScrub(3);
    deafen(bench, 'S2');
    const compared = { vat: VAT, compared: ['S0', 'S1'], missing: ['S2'], diverged: [] };
    expect(askForAll(bench, scrub, PATIENT_MS)).toMatchObject({ ok: true, value: { scrub: { shards: [compared] } } });
    expect(bench.published('shard.unproven')).toMatchObject([{ subject: 'sh0', data: { missing: ['S2'] } }]);
    bench.answer = () => undefined;
    askForAll(bench, scrub);
    expect(bench.published('shard.unproven')).toEqual([]);
  });

  it('hears nothing of a shard whose VAT is not known', () => {
    const { bench, scrub } = withScrub(3);
    bench.shard.resolved = false;
    expect(askForAll(bench, scrub)).toMatchObject({ ok: true, value: { scrub: { shards: [{ compared: [] }] } } });
    expect(bench.asked('digest')).toEqual([]);
  });

  it('hears of each of them', () => {
    const { bench, scrub } = withScrub(2, SHARDS);
    bench.node('S1').digest = '2';
    const shards = SHARDS.map((shard) => ({ shard, vat: VAT, compared: ['S0', 'S1'], missing: [], diverged: ['S1'] }));
    expect(askForAll(bench, scrub)).toEqual({ ok: true, value: { scrub: { shards } } });
  });

  it('is refused while that is under way, and not afterwards', () => {
    const { bench, scrub } = withScrub(2);
    bench.answer = (ask) => (isDigestOf('S0', 'S1')(ask) ? null : undefined);
    scrub.scrubNow(1);
    scrub.scrubNow(2);
    bench.settle();
    expect(answerTo(bench, 2)).toMatchObject({ ok: false, error: { code: 'BUSY', retryable: true } });
    bench.answer = () => undefined;
    for (const ask of [...bench.open]) bench.resolve(ask);
    expect(answerTo(bench, 1)).toMatchObject({ ok: true });
    scrub.scrubNow(3);
    bench.settle();
    expect(answerTo(bench, 3)).toMatchObject({ ok: true });
  });

  it('is refused where there is nothing to compare', () => {
    const { bench, scrub } = withScrub(2);
    bench.cluster.clear();
    expect(askForAll(bench, scrub)).toMatchObject({ ok: false, error: { code: 'NOT_CONFIGURED' } });
  });
});

describe('what proves that a replica shows the same as others', () => {
  const provenOf = (bench: Bench): string[] =>
    [...bench.shard.replicas].filter(([, { proven }]) => proven !== null).map(([server]) => server);

  it('most show it, though one shows something else', () => {
    const { bench, scrub } = withScrub(3);
    bench.node('S2').digest = '2';
    askForAll(bench, scrub);
    expect(provenOf(bench)).toEqual(['S0', 'S1']);
  });

  it('all that answered show it, though they are only half of the members', () => {
    const { bench, scrub } = withScrub(4);
    deafen(bench, 'S2', 'S3');
    askForAll(bench, scrub, PATIENT_MS);
    expect(provenOf(bench)).toEqual(['S0', 'S1']);
  });

  it('not that as many show something else', () => {
    const { bench, scrub } = withScrub(4);
    for (const server of ['S2', 'S3']) bench.node(server).digest = '2';
    askForAll(bench, scrub);
    expect(provenOf(bench)).toEqual([]);
    expect(bench.published('shard.diverged').map(({ subject }) => subject)).toEqual(['sh0/S2', 'sh0/S3']);
  });

  it('not its own word, when the others have lost theirs meanwhile', () => {
    for (const isHeard of [true, false]) {
      const { bench, scrub } = withScrub(2);
      const { shard } = bench;
      shard.setRecord({ ...shard.record, disputed: true });
      bench.answer = (ask) => {
        if (!isDigestOf('S1')(ask)) return undefined;
        shard.replicas.get('S1')!.suspended = true;
        return isHeard ? undefined : FENCED;
      };
      bench.node('S1').digest = '2';
      bench.node('S1').rows = 0;
      // Its data is being looked at already.
      spawn(wait(bench.writer.queues.lock('sh0')));
      askForAll(bench, scrub);
      expect(provenOf(bench)).toEqual([]);
      expect(shard.record.disputed).toBe(true);
    }
  });
});

it('gives way when a replica has seen a higher epoch', () => {
  const { bench, scrub } = withScrub(2);
  bench.answer = (ask) => (isDigestOf('S1')(ask) ? FENCED : undefined);
  askForAll(bench, scrub);
  expect(bench.over).toHaveLength(1);
});

describe('a shard that is another one by now', () => {
  it.each([
    [
      'because the configuration was replaced',
      (bench: Bench): void => {
        bench.replace('b');
      },
    ],
    [
      'because the configuration is being replaced',
      (bench: Bench): void => {
        bench.cluster.phase = 'configuring';
      },
    ],
  ])('%s is not compared', (_, change) => {
    const { bench, scrub } = withScrub(2, ['a', 'b']);
    bench.answer = (ask) => (isDigestOf('S0', 'S1')(ask) ? null : undefined);
    askForAll(bench, scrub);
    change(bench);
    for (const ask of [...bench.open]) bench.resolve(ask);
    expect(answerTo(bench, 1)).toMatchObject({ ok: true });
    expect(compared(bench)).toEqual(['a']);
  });
});

describe('replicas that differ, once no round is under way', () => {
  /** S2 (and with `differs` others) shows something else, which is found while a round holds the write queue. */
  function found(...differs: string[]): { bench: Bench; scrub: Scrub; resume: () => void } {
    const { bench, scrub } = withScrub(3);
    for (const server of differs) bench.node(server).digest = '2';
    spawn(wait(bench.writer.queues.lock('sh0')));
    askForAll(bench, scrub);
    const resume = (): void => {
      bench.writer.queues.release(['sh0']);
      bench.settle();
    };
    return { bench, scrub, resume };
  }
  const divergedOf = (bench: Bench): string[] => bench.published('shard.diverged').map(({ subject }) => subject);

  it('leave the set', () => {
    const { bench, resume } = found('S2');
    expect(bench.shard.inSync).toEqual(['S0', 'S1', 'S2']);
    resume();
    expect(bench.shard.inSync).toEqual(['S0', 'S1']);
    expect(divergedOf(bench)).toEqual(['sh0/S2']);
  });

  it('are left alone in a configuration that was replaced meanwhile', () => {
    const { bench, resume } = found('S2');
    bench.replace('sh0');
    resume();
    expect(divergedOf(bench)).toEqual([]);
    expect(bench.stored.size).toBe(0);
  });

  it('are nothing new where they have left the set', () => {
    const { bench, resume } = found('S2');
    const { shard } = bench;
    shard.setRecord({ ...shard.record, inSync: ['S0', 'S1'] });
    resume();
    expect(divergedOf(bench)).toEqual([]);
    // What is being copied from the others can be relied on.
    expect(shard.divergedMs).toBe(-Infinity);
    expect(answerTo(bench, 1)).toMatchObject({ ok: true, value: { scrub: { shards: [{ diverged: [] }] } } });
  });

  it('stay where those that agreed serve no more: they may be all that is left', () => {
    const { bench, resume } = found('S2');
    bench.cluster.servers.get('S0')!.dead = true;
    bench.cluster.servers.get('S1')!.dead = true;
    resume();
    expect(bench.cluster.serving(bench.shard)).toEqual(['S2']);
    expect(divergedOf(bench)).toEqual([]);
  });

  it('are compared with one that serves', () => {
    const { bench, resume } = found('S2');
    bench.cluster.servers.get('S0')!.dead = true;
    resume();
    const within = bench.asked('digest').filter(({ request }) => request.within !== undefined);
    expect([...new Set(within.map(({ server }) => server))].sort()).toEqual(['S1', 'S2']);
    expect(bench.published('shard.diverged')).toMatchObject([{ subject: 'sh0/S2', data: { agreeing: ['S1'] } }]);
  });
});
