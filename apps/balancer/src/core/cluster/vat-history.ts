/** Which VAT a shard had when: enough of it to know the VAT of so long ago. */

/** At `ms`, `vat` was committed. */
interface VatSample {
  ms: number;
  vat: number;
}

/** A horizon is kept in so many steps. */
const STEPS = 64;

export class VatHistory {
  private samples: VatSample[] = [];

  /** Remembers the VAT of this moment, once a step; what lies beyond the horizon shrinks to its last sample. */
  sample(nowMs: number, vat: number, horizonMs: number): void {
    const last = this.samples[this.samples.length - 1];
    if (last === undefined || nowMs - last.ms >= horizonMs / STEPS) this.samples.push({ ms: nowMs, vat });
    while ((this.samples[1]?.ms ?? Number.POSITIVE_INFINITY) <= nowMs - horizonMs) this.samples.shift();
  }

  /** A VAT that the shard had at least so long ago; 0 where nobody has looked for so long. */
  aged(nowMs: number, horizonMs: number): number {
    const first = this.samples[0];
    return first !== undefined && first.ms <= nowMs - horizonMs ? first.vat : 0;
  }
}
