import fc from 'fast-check';
import { FailureDetector, type Pulse } from './failure-detector';

const SERVER = 'Server0';

function missNext(detector: FailureDetector, server = SERVER): string {
  return detector.missed(server, detector.nextPing(server));
}

function answerNext(detector: FailureDetector, nowMs: number, server = SERVER): string {
  return detector.answered(server, detector.nextPing(server), nowMs);
}

describe('FailureDetector', () => {
  it('knows a server that has had no result as starting', () => {
    const detector = new FailureDetector(5);
    expect(detector.state(SERVER)).toBe('starting');
    detector.nextPing(SERVER);
    expect(detector.state(SERVER)).toBe('starting');
    expect(detector.heartbeatAgeMs(SERVER, 1000)).toBeNull();
  });

  it('says flatline at the fifth miss in a row, and only then', () => {
    const detector = new FailureDetector(5);
    answerNext(detector, 0);
    const verdicts = Array.from({ length: 7 }, () => missNext(detector));
    expect(verdicts).toEqual(['counted', 'counted', 'counted', 'counted', 'flatline', 'counted', 'counted']);
    expect(detector.state(SERVER)).toBe('flatline');
    expect(detector.missesInARow(SERVER)).toBe(7);
  });

  it('starts counting again after an answer', () => {
    const detector = new FailureDetector(2);
    expect(missNext(detector)).toBe('counted');
    expect(detector.state(SERVER)).toBe('missing');
    expect(answerNext(detector, 10)).toBe('counted');
    expect(detector.state(SERVER)).toBe('up');
    expect(missNext(detector)).toBe('counted');
    expect(missNext(detector)).toBe('flatline');
  });

  it('is not brought back by an answer to a ping older than the misses that were counted', () => {
    const detector = new FailureDetector(2);
    const old = detector.nextPing(SERVER);
    missNext(detector);
    missNext(detector);
    expect(detector.answered(SERVER, old, 99)).toBe('late');
    expect(detector.state(SERVER)).toBe('flatline');
    expect(detector.heartbeatAgeMs(SERVER, 100)).toBeNull();
  });

  it('takes one result per ping: an answer after its own time-out is late', () => {
    const detector = new FailureDetector(1);
    const ping = detector.nextPing(SERVER);
    expect(detector.missed(SERVER, ping)).toBe('flatline');
    expect(detector.answered(SERVER, ping, 5)).toBe('late');
    expect(detector.missed(SERVER, ping)).toBe('late');
    expect(detector.missesInARow(SERVER)).toBe(1);
  });

  it('is brought back by an answer to a newer ping', () => {
    const detector = new FailureDetector(1);
    missNext(detector);
    expect(answerNext(detector, 7)).toBe('counted');
    expect(detector.state(SERVER)).toBe('up');
    expect(missNext(detector)).toBe('flatline');
  });

  it('ignores the time-out of a ping when a newer one has been answered', () => {
    const detector = new FailureDetector(1);
    const slow = detector.nextPing(SERVER);
    answerNext(detector, 7);
    expect(detector.missed(SERVER, slow)).toBe('late');
    expect(detector.state(SERVER)).toBe('up');
  });

  it('takes no result of a ping from before the server was forgotten', () => {
    const detector = new FailureDetector(1);
    const before = detector.nextPing(SERVER);
    detector.forget(SERVER);
    expect(detector.answered(SERVER, before, 5)).toBe('late');
    const after = detector.nextPing(SERVER);
    expect(detector.answered(SERVER, before, 5)).toBe('late');
    expect(detector.missed(SERVER, before)).toBe('late');
    expect(detector.state(SERVER)).toBe('starting');
    expect(detector.answered(SERVER, after, 6)).toBe('counted');
  });

  it('tells the age of the last heartbeat, never below zero', () => {
    const detector = new FailureDetector(3);
    answerNext(detector, 1000);
    missNext(detector);
    expect(detector.heartbeatAgeMs(SERVER, 3500)).toBe(2500);
    expect(detector.heartbeatAgeMs(SERVER, 900)).toBe(0);
  });

  it('keeps servers apart', () => {
    const detector = new FailureDetector(1);
    answerNext(detector, 1, 'A');
    missNext(detector, 'B');
    expect([detector.state('A'), detector.state('B')]).toEqual(['up', 'flatline']);
  });

  it.each([0, -1, 1.5, Number.NaN])('refuses %d misses', (misses) => {
    expect(() => new FailureDetector(misses)).toThrow(RangeError);
  });

  it('equals a naive twin that looks at the whole history, in whatever order results come', () => {
    const step = fc.record({
      kind: fc.constantFrom('ping', 'ping', 'answer', 'miss', 'miss', 'forget'),
      back: fc.nat({ max: 6 }),
    });
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 4 }), fc.array(step, { maxLength: 60 }), (misses, steps) => {
        const detector = new FailureDetector(misses);
        const sent: number[] = [];
        let counted: { sequence: number; answered: boolean }[] = [];
        let forgottenAt = 0;
        for (const { kind, back } of steps) {
          if (kind === 'ping') sent.push(detector.nextPing(SERVER));
          else if (kind === 'forget') {
            detector.forget(SERVER);
            counted = [];
            forgottenAt = sent.at(-1) ?? 0;
          } else {
            const sequence = sent.at(-1 - back);
            if (sequence === undefined) continue;
            const counts = sequence > forgottenAt && counted.every((result) => result.sequence < sequence);
            const verdict =
              kind === 'answer' ? detector.answered(SERVER, sequence, 0) : detector.missed(SERVER, sequence);
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
