import fc from 'fast-check';
import { VatHistory } from './vat-history';

const HORIZON_MS = 640;
const STEP_MS = HORIZON_MS / 64;

/** The naive twin: every VAT with its time, forever. */
class Everything {
  readonly all: { ms: number; vat: number }[] = [];

  at(ms: number): number {
    return this.all.filter((one) => one.ms <= ms).at(-1)?.vat ?? 0;
  }
}

describe('the VAT of so long ago', () => {
  it('is one that the shard had by then, and no older than the horizon and two steps of it', () => {
    const time = fc.record({ passedMs: fc.nat({ max: 30 }), written: fc.nat({ max: 3 }) });
    fc.assert(
      fc.property(fc.array(time, { minLength: 100, maxLength: 400 }), (times) => {
        const history = new VatHistory();
        const everything = new Everything();
        let [nowMs, vat] = [0, 0];
        for (const { passedMs, written } of times) {
          nowMs += passedMs;
          vat += written;
          history.sample(nowMs, vat, HORIZON_MS);
          everything.all.push({ ms: nowMs, vat });
          const aged = history.aged(nowMs, HORIZON_MS);
          expect(aged).toBeLessThanOrEqual(everything.at(nowMs - HORIZON_MS));
          // Nobody looked for up to 30 ms, and then for a step.
          expect(aged).toBeGreaterThanOrEqual(everything.at(nowMs - HORIZON_MS - 2 * STEP_MS - 2 * 30));
        }
      }),
      { numRuns: 50 },
    );
  });

  it('is 0 as long as nobody has looked for so long', () => {
    const history = new VatHistory();
    expect(history.aged(100, HORIZON_MS)).toBe(0);
    history.sample(100, 7, HORIZON_MS);
    expect(history.aged(100 + HORIZON_MS - 1, HORIZON_MS)).toBe(0);
    expect(history.aged(100 + HORIZON_MS, HORIZON_MS)).toBe(7);
  });

  it('is kept in steps: what is written all the time takes no more room than a step each', () => {
    const history = new VatHistory();
    history.sample(0, 1, HORIZON_MS);
    history.sample(STEP_MS - 1, 2, HORIZON_MS);
    history.sample(STEP_MS, 3, HORIZON_MS);
    expect(history.aged(HORIZON_MS + STEP_MS - 1, HORIZON_MS)).toBe(1);
    history.sample(HORIZON_MS + STEP_MS, 9, HORIZON_MS);
    expect(history.aged(HORIZON_MS + STEP_MS, HORIZON_MS)).toBe(3);
  });

  it('is the present one without a horizon', () => {
    const history = new VatHistory();
    for (const vat of [3, 4, 5]) {
      history.sample(vat, vat, 0);
      expect(history.aged(vat, 0)).toBe(vat);
    }
  });
});
