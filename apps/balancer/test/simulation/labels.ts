/** How requests to replicas look in the timeline. */
import type { RoundPart } from '#common/contracts/node';
import { keysOf } from '#common/protocol/round';
import type { Effect } from '../../src/core/kernel/effects';

export type NodeAsk = Extract<
  Effect,
  { do: 'ping' | 'config' | 'fence' | 'catchup' | 'digest' | 'operation' | 'probe' | 'readOne' }
>;

export function labelOf(ask: NodeAsk): string {
  switch (ask.do) {
    case 'config': {
      const shards = ask.request.shards.map(
        ({ shard, configVersion, inSync }) => `${shard} v${configVersion} ${inSync.join('+')}`,
      );
      return `config ${shards.join(' ')}`;
    }
    case 'fence':
      return `fence ${ask.request.epoch}`;
    case 'catchup':
      return `catchup ${ask.request.shard} (${ask.request.from}, ${ask.request.to}] from ${ask.request.source}`;
    case 'digest':
      return `digest ${ask.request.shard}`;
    case 'operation':
      return `operation ${ask.request.id}`;
    case 'readOne':
      return `read ${ask.read.low} at ${ask.read.vat}`;
    case 'ping':
    case 'probe':
      return ask.do;
  }
}

export function labelOfRound(epoch: number, round: RoundPart): string {
  const parts = round.parts.map(({ shard, vat, firstTerm, lastTerm, ops }) => {
    const names = ops.map(
      (op) => `${op.op === 'create' ? op.onConflict : op.op}${keysOf([op]).join('+') || (op.id ?? '')}`,
    );
    return `${shard} ${vat}->[${firstTerm},${lastTerm}] ${names.join(' ')}`;
  });
  return `apply ${epoch}/${round.round} of ${Object.keys(round.lastTerms).join()} {${parts.join('; ')}}`;
}
