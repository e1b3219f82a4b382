/**
 * The digest of a whole shard on one replica, however large it is. It is asked for page by page, each within the deadline of one
 * request, and added up.
 *
 * The pages of two replicas need not end at the same keys. A digest is the sum of the hashes of its versions, so only the sums over
 * all keys are compared. All pages are of one VAT, which the caller keeps from being purged until the last one has come.
 */
import type { DigestReply } from '#common/contracts/node';
import type { StepContext } from '../kernel/step-context';
import type { Result } from '../kernel/effects';
import type { Shard } from '../cluster/shard';
import { wait, type Workflow } from '../kernel/workflow';

/** A page that did not come is asked for so often; the others are not asked for again. */
const ATTEMPTS = 3;
const PAUSE_MS = 500;
/** Refusals that asking again does not change. */
const FINAL = ['FENCED', 'SNAPSHOT_GONE', 'UNKNOWN_SHARD', 'BAD_MESSAGE', 'BAD_REQUEST'];

/** Of all that a replica shows at a VAT, and of the outcomes that it remembers. */
export interface WholeDigest {
  digest: string;
  rows: number;
}

/** Who is asked for what. `forgottenUpTo`: up to where outcomes count no more; left out where they do not count at all. */
export interface DigestQuestion {
  server: string;
  shard: Shard;
  epoch: number;
  vat: number;
  forgottenUpTo?: number;
}

/** Asks until the last page has come; the error is that of a page that did not. */
export function* wholeDigest(context: StepContext, question: DigestQuestion): Workflow<Result<WholeDigest>> {
  let sum = 0n;
  let rows = 0;
  let after: number | null = null;
  for (;;) {
    const outcome: Result<DigestReply> = yield* digestPage(context, question, after);
    if (!outcome.ok) return outcome;
    const { digest, records, next }: DigestReply = outcome.value;
    sum += BigInt(digest);
    rows += outcome.value.rows;
    if (next === null) return { ok: true, value: { digest: `${sum}/${records ?? ''}`, rows } };
    after = next;
  }
}

/** One page, behind the key `after`; again where it did not come. */
export function* digestPage(
  context: StepContext,
  { server, shard, ...question }: DigestQuestion,
  after: number | null,
): Workflow<Result<DigestReply>> {
  const request = { ...question, shard: shard.id, ...(after === null ? {} : { after }) };
  for (let attempt = 1; ; attempt += 1) {
    const outcome = yield* wait(context.ask('digest', { server, request }));
    // A page that ends where it began would be asked for forever.
    if (outcome.ok && outcome.value.next !== null && outcome.value.next <= (after ?? Number.NEGATIVE_INFINITY)) {
      const message = `${server} makes no progress with the digest of ${shard.id}`;
      return { ok: false, error: { code: 'BAD_MESSAGE', message, retryable: false } };
    }
    if (outcome.ok || attempt === ATTEMPTS || FINAL.includes(outcome.error.code)) return outcome;
    yield* wait(context.sleep(PAUSE_MS));
  }
}
