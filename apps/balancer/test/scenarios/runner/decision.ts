/** What a new leader heard of a shard, and what it made of it. The reasons are worked out here, from what was heard. */
import type { FenceReply, NodeShardState } from '#common/contracts/node';
import type { Shard } from '../../../src/core/cluster/shard';

export function describeDecision(leader: string, shard: Shard, replies: ReadonlyMap<string, FenceReply>): string[] {
  const reported = new Map<string, NodeShardState>();
  for (const [server, { shards }] of [...replies].sort()) {
    const state = shards.find((one) => one.shard === shard.id);
    if (state !== undefined) reported.set(server, state);
  }
  if (reported.size === 0) return [];
  const heard = groups([...reported].map(([server, state]) => [server, describeState(shard, server, state)]));
  const lines = heard.map(([servers, text]) => `${leader} hears of ${shard.id} from ${servers}: ${text}`);
  return [...lines, `${leader} decides ${shard.id}: VAT ${shard.vat}, ${reasonOf(shard, reported)}`];
}

function describeState(shard: Shard, server: string, state: NodeShardState): string {
  const { committedVat, newestRound } = state;
  const round =
    newestRound === null ? 'no round yet' : `newest round ${roundOf(state)} up to term ${state.currentTerm}`;
  const refused = newestRound?.refused === true ? ', refused there' : '';
  const others = Object.keys(newestRound?.lastTerms ?? {}).filter((id) => id !== shard.id);
  const also = others.length > 0 ? `, also on ${others.join(' ')}` : '';
  const outside = shard.inSync.includes(server) ? '' : ' (not in sync)';
  return `committed VAT ${committedVat}, ${round}${also}${refused}${outside}`;
}

function reasonOf(shard: Shard, reported: ReadonlyMap<string, NodeShardState>): string {
  const states = shard.inSync.flatMap((server) => reported.get(server) ?? []);
  const highest = Math.max(...states.map(({ committedVat }) => committedVat));
  const rounds = new Set(states.map(roundOf));
  if (shard.vat > highest) {
    const isHeldByAll = rounds.size === 1 && states.every(({ currentTerm }) => currentTerm === shard.vat);
    return isHeldByAll ? `for all in sync have ${[...rounds].join('')} as their newest` : 'above every committed VAT';
  }
  const undone = states.filter(({ currentTerm }) => currentTerm > shard.vat).map(roundOf);
  const names = [...new Set(undone)].sort().join(' and ');
  return names === ''
    ? 'their committed VAT'
    : `the highest committed VAT of them; what they have of ${names} is undone`;
}

function roundOf({ newestRound }: NodeShardState): string {
  return newestRound === null ? 'none' : `${newestRound.epoch}/${newestRound.round}`;
}

/** Servers that say the same, together. */
function groups(lines: readonly [string, string][]): [string, string][] {
  const byText = new Map<string, string[]>();
  for (const [server, text] of lines) byText.set(text, [...(byText.get(text) ?? []), server]);
  return [...byText].map(([text, servers]) => [servers.join(' '), text]);
}
