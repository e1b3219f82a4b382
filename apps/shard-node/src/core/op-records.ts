/** Outcomes of ops as they are stored: what makes an op known when it comes a second time. */
import { ShardlineError } from '#common/contracts/errors';
import type { OpOutcome, OpRecord } from '#common/contracts/node';

/** An outcome in few characters; whether it was known is no part of it. */
export function outcomeText(outcome: OpOutcome): string {
  return outcome.refused === undefined ? `=${outcome.ok}` : `!${outcome.refused} ${outcome.key}`;
}

const REFUSED = /^!(KEY_EXISTS|KEY_NOT_FOUND|ID_REUSED) (-?\d+)$/;

/** @throws ShardlineError STORE_FAILED when nobody can have written that */
export function parseOutcome(text: string): OpOutcome {
  if (/^=\d+$/.test(text)) return { ok: Number(text.slice(1)) };
  const [, code, key] = REFUSED.exec(text) ?? [];
  if (code === undefined) throw new ShardlineError('STORE_FAILED', `this is the outcome of no op: ${text}`);
  return { refused: code as 'KEY_EXISTS' | 'KEY_NOT_FOUND' | 'ID_REUSED', key: Number(key) };
}

/** What a digest covers of a record; the store in Postgres builds the same. */
export function recordText({ term, id, fingerprint, outcome }: OpRecord): string {
  return `${term} ${id} ${fingerprint ?? ''} ${outcomeText(outcome)}`;
}

/** About how many bytes a record takes in a message. */
export function recordBytes({ id, fingerprint }: OpRecord): number {
  return 112 + id.length + (fingerprint?.length ?? 0);
}
