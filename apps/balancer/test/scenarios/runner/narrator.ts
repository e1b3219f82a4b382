/** Writes what happens in a world as lines of a story: what leaders want, what replicas make of it. Pings and renewals are left out. */
import type { FenceReply, PartReply, RoundOp, RoundPart } from '#common/contracts/node';
import { BUCKET_KEYS } from '#common/contracts/subjects';
import { keysOf } from '#common/protocol/round';
import type { ErrorBody } from '#common/contracts/errors';
import type { Answered, Ask, AskTypes, Effect, Result } from '../../../src/core/kernel/effects';
import type { LeaderRecord } from '../../../src/core/leadership/leadership';
import type { ShardRecord } from '../../../src/core/cluster/shard';
import { describeDecision } from './decision';
import { describeEvent } from './events';
import type { Balancer, Listener } from './world';

type Apply = Extract<Ask, { do: 'apply' }>;
type Digest = Extract<Ask, { do: 'digest' }>;

/** A round on its way, and what its servers made of it so far. */
interface RoundUnderWay {
  name: string;
  open: Set<string>;
  outcomes: Map<string, Result<PartReply[]>>;
}

/** Digests of one shard at one VAT that were asked for together. */
interface DigestsUnderWay {
  open: number;
  texts: Map<string, string>;
  /** Of the pages that have come, by server. */
  sums: Map<string, bigint>;
}

export class Narrator implements Listener {
  /** What has been written so far. */
  lines: string[] = [];
  isMuted = false;
  answered: (batch: number, answered: Answered) => void = () => undefined;
  private readonly rounds = new Map<string, RoundUnderWay>();
  private readonly digests = new Map<string, DigestsUnderWay>();
  private readonly fenced = new Map<Balancer, Map<string, FenceReply>>();
  private readonly decided = new Map<Balancer, Set<string>>();
  private readonly withheld = new Map<Balancer, number>();
  private readonly inSync = new Map<string, string>();
  private readonly refusedBy = new Set<string>();

  say(line: string): void {
    if (!this.isMuted) this.lines.push(line);
  }

  stepped(balancer: Balancer, effects: readonly Effect[]): void {
    this.decisions(balancer);
    const applies = effects.filter((effect) => effect.do === 'apply');
    for (const effect of effects) {
      if (effect.do !== 'apply') this.effect(balancer, effect);
      else if (!this.rounds.has(nameOfRound(balancer, effect)))
        this.sent(
          balancer,
          applies.filter(({ round }) => round.round === effect.round.round),
        );
    }
    this.keptBack(balancer);
  }

  outcome(balancer: Balancer, ask: Ask, outcome: Result<unknown>): void {
    if (!outcome.ok && outcome.error.code === 'FENCED') this.fencing(balancer, ask, outcome.error);
    if (ask.do === 'apply') this.applied(balancer, ask, outcome as Result<PartReply[]>);
    else if (ask.do === 'store') this.stored(balancer, ask, outcome as Result<number | null>);
    else if (ask.do === 'catchup') this.caughtUp(ask, outcome as Result<AskTypes['catchup']['answer']>);
    else if (ask.do === 'digest') this.compared(balancer, ask, outcome as Result<AskTypes['digest']['answer']>);
    else if (ask.do === 'fence' && outcome.ok) this.fencedBy(balancer).set(ask.server, outcome.value as FenceReply);
  }

  arrivedLate(from: string, ask: Ask, outcome: Result<unknown>): void {
    if (ask.do !== 'apply') return;
    const round = `round ${ask.epoch}/${ask.round.round} of ${from}`;
    this.say(
      outcome.ok
        ? `${round} comes late to ${ask.server}, which stores it`
        : `${round} comes late to ${ask.server}: ${failure(outcome.error)}`,
    );
  }

  private effect(balancer: Balancer, effect: Effect): void {
    const { name, cluster } = balancer;
    if (effect.do === 'answer') this.answered(effect.batch, effect.answered);
    else if (effect.do === 'serve') this.say(`${name} serves clients under epoch ${cluster.epoch}`);
    else if (effect.do === 'stepDown') this.say(`${name} steps down: ${effect.why}`);
    else if (effect.do === 'released') this.say(`${name} ends`);
    else if (effect.do === 'digest' && isOfWhole(effect)) this.sentDigest(balancer, effect);
    else if (effect.do === 'publish') {
      const text = describeEvent(effect.event);
      if (text !== null) this.say(`${name} says: ${text}`);
    } else if (effect.do === 'log' && effect.message === 'ELECTED')
      this.say(`${name} takes the lead: epoch ${String(effect.data.epoch)}, ${String(effect.data.cause)}`);
  }

  /** A round begins; `applies` are its messages. */
  private sent(balancer: Balancer, applies: readonly Apply[]): void {
    const [first] = applies;
    const servers = applies.map(({ server }) => server).sort();
    const name = `round ${first!.epoch}/${first!.round.round}`;
    this.rounds.set(nameOfRound(balancer, first!), { name, open: new Set(servers), outcomes: new Map() });
    const parts = new Map(applies.flatMap((apply) => apply.round.parts).map((part) => [part.shard, part]));
    const said = [...parts.values()].sort((a, b) => (a.shard < b.shard ? -1 : 1)).map(describePart);
    this.say(`${balancer.name} sends ${name} to ${servers.join(' ')}: ${said.join('; ')}`);
  }

  private applied(balancer: Balancer, ask: Apply, outcome: Result<PartReply[]>): void {
    const round = this.rounds.get(nameOfRound(balancer, ask));
    if (round === undefined) return;
    round.outcomes.set(ask.server, outcome);
    round.open.delete(ask.server);
    if (round.open.size === 0) this.say(describeOutcomes(round));
  }

  private stored(
    balancer: Balancer,
    { key, value }: Extract<Ask, { do: 'store' }>,
    outcome: Result<number | null>,
  ): void {
    if (outcome.ok && outcome.value === null) {
      this.say(`the bucket refuses what ${balancer.name} stores under ${key}: it has been written since`);
      return;
    }
    if (!outcome.ok || value === null) return;
    if (key === BUCKET_KEYS.leader && (value as LeaderRecord).released === true)
      this.say(`${balancer.name} gives its lease back`);
    if (!key.startsWith('shard.')) return;
    const { shard, inSync } = value as ShardRecord;
    const names = [...inSync].sort().join(' ');
    if (this.inSync.get(shard) !== names) this.say(`bucket: in sync on ${shard} are ${names}`);
    this.inSync.set(shard, names);
  }

  private caughtUp(
    { server, request }: Extract<Ask, { do: 'catchup' }>,
    outcome: Result<AskTypes['catchup']['answer']>,
  ): void {
    const { shard, source, from, to } = request;
    const what =
      from === 0 ? `everything of ${shard} up to term ${to}` : `what ${shard} lacks from term ${from} to ${to}`;
    if (!outcome.ok) this.say(`${server} cannot copy ${what} from ${source}: ${failure(outcome.error)}`);
    else if (outcome.value.next === null)
      this.say(`${server} has copied ${what} from ${source}: ${outcome.value.rows} versions`);
  }

  /** Every page is asked for by itself; what is shown is the sum of all of them. */
  private sentDigest(balancer: Balancer, digest: Digest): void {
    const name = digestName(balancer, digest);
    const digests = this.digests.get(name) ?? { open: 0, texts: new Map<string, string>(), sums: new Map() };
    if (digest.request.after === undefined) digests.open += 1;
    this.digests.set(name, digests);
  }

  private compared(balancer: Balancer, ask: Digest, outcome: Result<AskTypes['digest']['answer']>): void {
    const digests = this.digests.get(digestName(balancer, ask));
    if (digests === undefined || !isOfWhole(ask)) return;
    const { server } = ask;
    if (outcome.ok) {
      const sum = (digests.sums.get(server) ?? 0n) + BigInt(outcome.value.digest);
      digests.sums.set(server, sum);
      if (outcome.value.next !== null) return;
      digests.texts.set(server, `${sum}/${outcome.value.records ?? ''}`);
    } else digests.texts.set(server, failure(outcome.error));
    digests.open -= 1;
    if (digests.open > 0) return;
    this.digests.delete(digestName(balancer, ask));
    this.say(`digests of ${ask.request.shard} at VAT ${ask.request.vat}: ${groupsOf(digests.texts)}`);
  }

  private decisions(balancer: Balancer): void {
    const known = this.decided.get(balancer) ?? new Set<string>();
    this.decided.set(balancer, known);
    for (const shard of balancer.cluster.shards.values()) {
      if (!shard.decided || known.has(shard.id)) continue;
      known.add(shard.id);
      for (const line of describeDecision(balancer.name, shard, this.fencedBy(balancer))) this.say(line);
    }
  }

  private fencedBy(balancer: Balancer): Map<string, FenceReply> {
    const replies = this.fenced.get(balancer) ?? new Map<string, FenceReply>();
    this.fenced.set(balancer, replies);
    return replies;
  }

  /** Said once of each replica and leader, beside what is said of rounds. */
  private fencing(balancer: Balancer, ask: Ask, error: ErrorBody): void {
    if (!('server' in ask) || ask.do === 'apply') return;
    const name = `${ask.server} ${balancer.name}`;
    if (!this.refusedBy.has(name)) this.say(`${ask.server} refuses ${balancer.name}: ${failure(error)}`);
    this.refusedBy.add(name);
  }

  /** Answers that a leader keeps because its lease is doubtful. */
  private keptBack(balancer: Balancer): void {
    const { length } = (balancer.core as unknown as { withheld: readonly unknown[] }).withheld;
    const before = this.withheld.get(balancer) ?? 0;
    if (length > before) this.say(`${balancer.name} keeps an answer back: it does not know whether it still leads`);
    this.withheld.set(balancer, length);
  }
}

function nameOfRound(balancer: Balancer, { epoch, round }: Apply): string {
  return `${balancer.name} ${epoch}/${round.round}`;
}

/** Not for naming the keys in which two replicas differ. */
function isOfWhole({ request }: Digest): boolean {
  return request.within === undefined && request.forgottenUpTo !== undefined;
}

function digestName(balancer: Balancer, { request: { shard, vat } }: Digest): string {
  return `${balancer.name} ${shard} ${vat}`;
}

function describePart({ shard, vat, firstTerm, lastTerm, ops }: RoundPart['parts'][number]): string {
  const terms = firstTerm === lastTerm ? `term ${firstTerm}` : `terms ${firstTerm} to ${lastTerm}`;
  const done = ops.map(describeOp).join(', ') || 'empty';
  return `${shard} on VAT ${vat}, ${terms}: ${done}`;
}

function describeOp(op: RoundOp): string {
  if (op.op === 'note') return `note what became of ${op.id}`;
  const keys = keysOf([op]).join(' and ');
  const name = op.op === 'create' && op.onConflict !== 'error' ? op.onConflict : op.op;
  return `${name} ${keys}${op.id === undefined ? '' : ` as ${op.id}`}`;
}

function describeOutcomes({ name, outcomes }: RoundUnderWay): string {
  const servers = [...outcomes.keys()].sort();
  const said: string[] = [];
  const stored = servers.filter((server) => outcomes.get(server)?.ok === true);
  if (stored.length > 0) said.push(`stored by ${stored.join(' ')}`);
  for (const server of servers) {
    const outcome = outcomes.get(server);
    if (outcome?.ok === false) said.push(`${server}: ${failure(outcome.error)}`);
  }
  const replies = [...outcomes.values()].flatMap((outcome) => (outcome.ok ? outcome.value : []));
  const refusals = new Set(replies.flatMap(({ shard, outcomes: own }) => own.map((one) => refusalIn(shard, one))));
  refusals.delete('');
  said.push(...refusals);
  return `${name}: ${said.join('; ')}${differing(outcomes)}`;
}

function refusalIn(shard: string, outcome: PartReply['outcomes'][number]): string {
  const known = outcome.known === true ? ' (known from before)' : '';
  if (outcome.refused !== undefined) return `${shard} refuses: ${outcome.refused} ${outcome.key}${known}`;
  return known === '' ? '' : `${shard}: rows: ${outcome.ok}${known}`;
}

/** Who did something else with the same round. */
function differing(outcomes: RoundUnderWay['outcomes']): string {
  const byShard = new Map<string, Map<string, string>>();
  for (const [server, outcome] of outcomes) {
    for (const { shard, digest } of outcome.ok ? outcome.value : [])
      byShard.set(shard, (byShard.get(shard) ?? new Map<string, string>()).set(server, digest));
  }
  const said = [...byShard].filter(([, digests]) => new Set(digests.values()).size > 1);
  return said.map(([shard, digests]) => `; digests of what it did to ${shard}: ${groupsOf(digests)}`).join('');
}

/** Who reported the same: `S0 = S1, S2 differs` for two against one. */
function groupsOf(texts: ReadonlyMap<string, string>): string {
  const groups = new Map<string, string[]>();
  for (const [server, text] of [...texts].sort()) groups.set(text, [...(groups.get(text) ?? []), server]);
  const [first = [], ...others] = [...groups.values()].sort((a, b) => b.length - a.length);
  return [first.join(' = '), ...others.map((servers) => `other than ${servers.join(' = ')}`)].join(', ');
}

function failure({ code, message }: ErrorBody): string {
  return `${code}, ${message}`;
}
