import fc from 'fast-check';
import { FailureDetector, type Pulse, type ReportedSigns } from './failure-detector';

const SERVER = 'Server0';
const WELL: ReportedSigns = { postgres: 'ok', diskFreeBytes: 1_000_000, eventLoopDelayMs: 1 };

function detectorOf(misses: number): FailureDetector {
  const suspicion = { misses: 2, diskFreeBytes: 1000, eventLoopMs: 100, answerMs: 100, answerFactor: 4, pings: 3 };
  return new FailureDetector(misses, suspicion);
}

function missNext(detector: FailureDetector, server = SERVER): string {
  return detector.missed(server, detector.nextPing(server, 0));
}

function answerNext(detector: FailureDetector, nowMs: number, server = SERVER): string {
  return detector.answered(server, detector.nextPing(server, 0), nowMs, WELL);
}

describe('FailureDetector', () => {
  it('knows a server that has had no result as starting', () => {
    const detector = detectorOf(5);
    expect(detector.state(SERVER)).toBe('starting');
    detector.nextPing(SERVER, 0);
    expect(detector.state(SERVER)).toBe('starting');
    expect(detector.heartbeatAgeMs(SERVER, 1000)).toBeNull();
  });

  it('says flatline at the fifth miss in a row, and only then', () => {
    const detector = detectorOf(5);
    answerNext(detector, 0);
    const verdicts = Array.from({ length: 7 }, () => missNext(detector));
    expect(verdicts).toEqual(['counted', 'counted', 'counted', 'counted', 'flatline', 'counted', 'counted']);
    expect(detector.state(SERVER)).toBe('flatline');
    expect(detector.missesInARow(SERVER)).toBe(7);
  });

  it('starts counting again after an answer', () => {
    const detector = detectorOf(2);
    expect(missNext(detector)).toBe('counted');
    expect(detector.state(SERVER)).toBe('missing');
    expect(answerNext(detector, 10)).toBe('counted');
    expect(detector.state(SERVER)).toBe('up');
    expect(missNext(detector)).toBe('counted');
    expect(missNext(detector)).toBe('flatline');
  });

  it('is not brought back by an answer to a ping older than the misses that were counted', () => {
    const detector = detectorOf(2);
    const old = detector.nextPing(SERVER, 0);
    missNext(detector);
    missNext(detector);
    expect(detector.answered(SERVER, old, 99, WELL)).toBe('late');
    expect(detector.state(SERVER)).toBe('flatline');
    expect(detector.heartbeatAgeMs(SERVER, 100)).toBeNull();
  });

  it('keeps nothing of a ping that a later one has had a result behind', () => {
    const detector = detectorOf(2);
    expect(detector.awaited(SERVER)).toBe(0);
    const pings = [1, 2, 3].map(() => detector.nextPing(SERVER, 0));
    expect(detector.awaited(SERVER)).toBe(3);
    detector.answered(SERVER, pings[1]!, 5, WELL);
    expect(detector.awaited(SERVER)).toBe(1);
    for (let count = 0; count < 100; count += 1) missNext(detector);
    expect(detector.awaited(SERVER)).toBe(0);
  });

  it('takes one result per ping: an answer after its own time-out is late', () => {
    const detector = detectorOf(1);
    const ping = detector.nextPing(SERVER, 0);
    expect(detector.missed(SERVER, ping)).toBe('flatline');
    expect(detector.answered(SERVER, ping, 5, WELL)).toBe('late');
    expect(detector.missed(SERVER, ping)).toBe('late');
    expect(detector.missesInARow(SERVER)).toBe(1);
  });

  it('is brought back by an answer to a newer ping', () => {
    const detector = detectorOf(1);
    missNext(detector);
    expect(answerNext(detector, 7)).toBe('counted');
    expect(detector.state(SERVER)).toBe('up');
    expect(missNext(detector)).toBe('flatline');
  });

  it('ignores the time-out of a ping when a newer one has been answered', () => {
    const detector = detectorOf(1);
    const slow = detector.nextPing(SERVER, 0);
    answerNext(detector, 7);
    expect(detector.missed(SERVER, slow)).toBe('late');
    expect(detector.state(SERVER)).toBe('up');
  });

  it('takes no result of a ping from before the server was forgotten', () => {
    const detector = detectorOf(1);
    const before = detector.nextPing(SERVER, 0);
    detector.forget(SERVER);
    expect(detector.answered(SERVER, before, 5, WELL)).toBe('late');
    const after = detector.nextPing(SERVER, 0);
    expect(detector.answered(SERVER, before, 5, WELL)).toBe('late');
    expect(detector.missed(SERVER, before)).toBe('late');
    expect(detector.state(SERVER)).toBe('starting');
    expect(detector.answered(SERVER, after, 6, WELL)).toBe('counted');
  });

  it('knows the age of the last heartbeat, never below zero', () => {
    const detector = detectorOf(3);
    answerNext(detector, 1000);
    missNext(detector);
    expect(detector.heartbeatAgeMs(SERVER, 3500)).toBe(2500);
    expect(detector.heartbeatAgeMs(SERVER, 900)).toBe(0);
  });

  it('keeps servers apart', () => {
    const detector = detectorOf(1);
    answerNext(detector, 1, 'A');
    missNext(detector, 'B');
    expect([detector.state('A'), detector.state('B')]).toEqual(['up', 'flatline']);
  });

  it('suspects a server between its second miss and its flatline, and until it has answered three times', () => {
    const detector = detectorOf(4);
    answerNext(detector, 0);
    const causes = [missNext, missNext, missNext].map((miss) => {
      miss(detector);
      return detector.suspectCauses(SERVER);
    });
    expect(causes).toEqual([[], ['missed'], ['missed']]);
    const after = [1, 2, 3].map((nowMs) => {
      answerNext(detector, nowMs);
      return detector.suspectCauses(SERVER);
    });
    expect(after).toEqual([['missed'], ['missed'], []]);
  });

  it('keeps what the last answer reported, and how long it took from its own ping on', () => {
    const detector = detectorOf(4);
    expect(detector.vitals(SERVER)).toMatchObject({ postgres: null, answerMs: null });
    detector.nextPing(SERVER, 100);
    const second = detector.nextPing(SERVER, 200);
    detector.answered(SERVER, second, 230, { ...WELL, postgres: 'down' });
    expect(detector.vitals(SERVER)).toEqual({ ...WELL, postgres: 'down', answerMs: 30 });
    expect(detector.suspectCauses(SERVER)).toEqual(['postgres']);
  });

  it('holds nothing that an answer of before said against a server that is forgotten, or that comes late', () => {
    const detector = detectorOf(4);
    const old = detector.nextPing(SERVER, 0);
    answerNext(detector, 1);
    detector.answered(SERVER, old, 2, { ...WELL, postgres: 'down' });
    expect(detector.suspectCauses(SERVER)).toEqual([]);
    detector.answered(SERVER, detector.nextPing(SERVER, 3), 3, { ...WELL, postgres: 'down' });
    detector.forget(SERVER);
    expect(detector.suspectCauses(SERVER)).toEqual([]);
  });

  it.each([0, -1, 1.5, Number.NaN])('refuses %d misses', (misses) => {
    expect(() => detectorOf(misses)).toThrow(RangeError);
  });

  it('equals a naive twin that looks at the whole history, in whatever order results come', () => {
    const step = fc.record({
      kind: fc.constantFrom('ping', 'ping', 'answer', 'miss', 'miss', 'forget'),
      back: fc.nat({ max: 6 }),
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), (misses, steps) => {
        const detector = detectorOf(misses);
        const sent: number[] = [];
        let counted: { sequence: number; answered: boolean }[] = [];
        let forgottenAt = 0;
        for (const { kind, back } of steps) {
          if (kind === 'ping') sent.push(detector.nextPing(SERVER, 0));
          else if (kind === 'forget') {
            detector.forget(SERVER);
            counted = [];
            forgottenAt = sent.at(-1) ?? 0;
          } else {
            const sequence = sent.at(-1 - back);
            if (sequence === undefined) continue;
            const counts = sequence > forgottenAt && counted.every((result) => result.sequence < sequence);
            const verdict =
              kind === 'answer' ? detector.answered(SERVER, sequence, 0, WELL) : detector.missed(SERVER, sequence);
            expect(verdict === 'late').toBe(!counts);
            if (counts) counted.push({ sequence, answered: kind === 'answer' });
          }
          expect(detector.state(SERVER)).toBe(naivePulse(counted, misses));
        }
      }),
      { numRuns: 300 },
    );
  });
});

/** By looking back: up after an answer, flatline when the last `misses` results are all misses. */
function naivePulse(counted: readonly { answered: boolean }[], misses: number): Pulse {
  if (counted.length === 0) return 'starting';
  if (counted.at(-1)?.answered === true) return 'up';
  const last = counted.slice(-misses);
  return last.length === misses && last.every((result) => !result.answered) ? 'flatline' : 'missing';
}
