import fc from 'fast-check';
import type { SuspectCause, VitalSigns } from '#common/contracts/commands';
import { describeSuspicion, Suspicion, UNKNOWN_SIGNS } from './suspicion';

const SETTINGS = { misses: 2, diskFreeBytes: 1000, eventLoopMs: 100, answerMs: 100, answerFactor: 4, pings: 3 };
const WELL: VitalSigns = { postgres: 'ok', diskFreeBytes: 10_000, eventLoopDelayMs: 1, answerMs: 5 };

/** `!` stands for a missed ping; numbers and words for what the answer reports of the one thing that the row is about. */
type Step = VitalSigns | '!';

function judge(steps: readonly Step[]): string[] {
  const suspicion = new Suspicion(SETTINGS);
  let missed = 0;
  return steps.map((step) => {
    missed = step === '!' ? missed + 1 : 0;
    if (step === '!') suspicion.missed(missed);
    else suspicion.answered(step);
    return suspicion.causes.join('+') || '-';
  });
}

const disk = (...bytes: number[]): Step[] => bytes.map((diskFreeBytes) => ({ ...WELL, diskFreeBytes }));
const loop = (...ms: number[]): Step[] => ms.map((eventLoopDelayMs) => ({ ...WELL, eventLoopDelayMs }));
const answer = (...ms: number[]): Step[] => ms.map((answerMs) => ({ ...WELL, answerMs }));
const postgres = (...states: ('ok' | 'down')[]): Step[] => states.map((state) => ({ ...WELL, postgres: state }));
const pings = (text: string): Step[] => Array.from(text).map((letter) => (letter === '!' ? '!' : WELL));

describe('a server is suspect', () => {
  it.each<[string, Step[], string]>([
    ['never while all is well', pings('......'), '- - - - - -'],
    ['at the second miss in a row', pings('.!.!!.'), '- - - - missed missed'],
    ['until three answers in a row have come', pings('!!.!...'), '- missed missed missed missed missed -'],
    ['all the time when every third ping is missed', pings('!!..!..!..!..'), `- missed ${'missed '.repeat(11)}`.trim()],
    ['as soon as its Postgres is down', postgres('down', 'ok', 'ok', 'ok'), 'postgres postgres postgres -'],
    ['while its Postgres comes and goes', postgres('down', 'ok', 'ok', 'down', 'ok'), 'postgres '.repeat(5).trim()],
    ['when little room is left', disk(1000, 999), '- disk'],
    ['until there is clearly more room', disk(999, 1100, 1249, 1100, 1250, 1250, 1250), `${'disk '.repeat(6)}-`],
    ['not at one late turn of its event loop', loop(500, 1, 500, 500, 1), '- - - - -'],
    ['when its event loop is late three times in a row', loop(101, 101, 101), '- - event-loop'],
    [
      'until its event loop is well in time',
      loop(101, 101, 101, 90, 90, 90, 50, 50, 50),
      `- - ${'event-loop '.repeat(6)}-`,
    ],
    ['when it answers later than it may', answer(5, 101, 101, 101), '- - - slow'],
    ['not for what is usual for it', answer(90, 95, 90, 300, 300, 300), '- - - - - -'],
    ['for what is not usual for it', answer(50, 50, 250, 250, 250, 250), '- - - - slow slow'],
    [
      'as long as it stays slow',
      [...answer(5), ...answer(...Array<number>(60).fill(400))],
      `- - - ${'slow '.repeat(58)}`.trim(),
    ],
  ])('%s', (_name, steps, expected) => {
    expect(judge(steps).join(' ')).toBe(expected);
  });

  it('of several things at once, in a fixed order', () => {
    const suspicion = new Suspicion(SETTINGS);
    suspicion.answered({ ...WELL, diskFreeBytes: 0, postgres: 'down' });
    suspicion.missed(2);
    expect(suspicion.causes).toEqual(['missed', 'postgres', 'disk']);
    expect(describeSuspicion(suspicion.causes)).toBe(
      'it does not answer its heartbeat, its Postgres does not answer, its disk is nearly full',
    );
  });

  it('of nothing that is not known', () => {
    const suspicion = new Suspicion(SETTINGS);
    for (let i = 0; i < 5; i += 1) suspicion.answered(UNKNOWN_SIGNS);
    expect(suspicion.causes).toEqual([]);
  });

  it('for at least as many pings as it takes to be cleared, whatever comes: nothing goes to and fro', () => {
    const step = fc.oneof(
      fc.constant<Step>('!'),
      fc.record<VitalSigns>({
        postgres: fc.constantFrom('ok', 'down'),
        diskFreeBytes: fc.integer({ min: 900, max: 1400 }),
        eventLoopDelayMs: fc.integer({ min: 0, max: 200 }),
        answerMs: fc.integer({ min: 0, max: 900 }),
      }),
    );
    fc.assert(
      fc.property(fc.array(step, { maxLength: 80 }), (steps) => {
        const history = judge(steps);
        for (const cause of ['missed', 'postgres', 'disk', 'event-loop', 'slow'] satisfies SuspectCause[]) {
          const text = history.map((causes) => (causes.split('+').includes(cause) ? 'x' : '-')).join('');
          expect(text).not.toMatch(/-x{1,2}-/);
        }
      }),
      { numRuns: 300 },
    );
  });
});
