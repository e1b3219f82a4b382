import fc from 'fast-check';
import { ForgottenIds } from './forgotten-ids';

const HORIZON_MS = 640;

/** Time goes on in small steps, the VAT by one with each. Returns the time. */
function live(ids: ForgottenIds, fromMs: number, steps: number, stepMs = 10): number {
  for (let step = 1; step <= steps; step += 1)
    ids.age(fromMs + step * stepMs, (fromMs + step * stepMs) / 10, HORIZON_MS);
  return fromMs + steps * stepMs;
}

describe('what a shard has forgotten', () => {
  it('is nothing before the horizon has passed, and then what is older, to a step of it', () => {
    const ids = new ForgottenIds();
    const nowMs = live(ids, 0, 63);
    expect(ids.upTo).toBe(0);
    const laterMs = live(ids, nowMs, 100);
    const vatThen = (laterMs - HORIZON_MS) / 10;
    expect(ids.upTo).toBeLessThanOrEqual(vatThen);
    expect(ids.upTo).toBeGreaterThan(vatThen - 3);
  });

  it('is never less than any replica has reported, nor than it was', () => {
    const reported = fc.nat({ max: 50 });
    fc.assert(
      fc.property(fc.array(fc.oneof(reported, fc.constant('later' as const)), { maxLength: 30 }), (steps) => {
        const ids = new ForgottenIds();
        let nowMs = 0;
        let least = 0;
        for (const step of steps) {
          if (step === 'later') nowMs = live(ids, nowMs, 20);
          else ids.reported(step);
          least = Math.max(least, step === 'later' ? 0 : step);
          expect(ids.upTo).toBeGreaterThanOrEqual(least);
          least = ids.upTo;
        }
      }),
    );
  });

  it('stays the same while replicas are compared', () => {
    const ids = new ForgottenIds();
    const nowMs = live(ids, 0, 200);
    const held = ids.hold();
    ids.hold();
    const laterMs = live(ids, nowMs, 200);
    ids.release();
    live(ids, laterMs, 1);
    expect([held, ids.upTo]).toEqual([held, held]);
    ids.release();
    live(ids, laterMs, 2);
    expect(ids.upTo).toBeGreaterThan(held);
  });

  it('has a bound in terms as well', () => {
    const ids = new ForgottenIds();
    ids.age(0, 5_000_000, HORIZON_MS);
    expect(ids.upTo).toBe(3_000_000);
  });
});
