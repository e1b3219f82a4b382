/**
 * What became of a change, by its id: asked of in-sync replicas that together hold every shard, at one instant's VATs. What is
 * under way at that moment is not known yet.
 */
import type { OperationStatus } from '#common/contracts/commands';
import type { ErrorBody } from '#common/contracts/errors';
import type { OperationLookupReply } from '#common/contracts/node';
import type { Cluster } from '../cluster/cluster';
import type { StepContext } from '../kernel/step-context';
import type { Result } from '../kernel/effects';
import type { Shard } from '../cluster/shard';
import { all, wait, type Workflow } from '../kernel/workflow';
import { refusalOf, REPLACED, unavailable } from './refusals';

type Found = OperationLookupReply['found'];

/** A shard that has to be looked at, and how it stood when the question came. */
interface Look {
  shard: Shard;
  vat: number;
  forgottenUpTo: number;
  /** Replicas that were asked and did not answer. */
  tried: Set<string>;
}

export class OperationLookup {
  constructor(
    private readonly context: StepContext,
    private readonly cluster: Cluster,
    private readonly fenced: (error: ErrorBody) => void,
  ) {}

  *find(operation: string): Workflow<Result<OperationStatus>> {
    const looks = this.cluster.inKeyOrder().map((shard): Look => {
      shard.hold(shard.vat);
      return { shard, vat: shard.vat, forgottenUpTo: shard.forgottenIds.upTo, tried: new Set() };
    });
    let found: Found = [];
    let open = looks;
    for (;;) {
      const asked = this.assign(open);
      if (asked.size === 0) break;
      const replies = yield* this.ask(operation, asked);
      found = [...found, ...replies.found];
      open = open.filter((look) => !replies.answered.has(look));
    }
    for (const { shard, vat } of looks) shard.release(vat);
    // Another shard of this name may have answered, of other terms.
    if (looks.some(({ shard }) => this.cluster.shards.get(shard.id) !== shard)) return { ok: false, error: REPLACED };
    return judge(operation, found, open);
  }

  /** By server: what it is asked for. As few servers as a greedy choice finds. */
  private assign(open: readonly Look[]): Map<string, Look[]> {
    const candidates = new Map<string, Look[]>();
    for (const look of open) {
      for (const server of this.canAnswer(look)) {
        const looks = candidates.get(server);
        if (looks === undefined) candidates.set(server, [look]);
        else looks.push(look);
      }
    }
    const assigned = new Map<string, Look[]>();
    const left = new Set([...candidates.values()].flat());
    const missing = (looks: readonly Look[]): Look[] => looks.filter((look) => left.has(look));
    const better = (a: [string, Look[]], b: [string, Look[]]): [string, Look[]] =>
      missing(b[1]).length > missing(a[1]).length ? b : a;
    while (left.size > 0) {
      const [server, looks] = [...candidates].reduce(better);
      assigned.set(server, missing(looks));
      for (const look of looks) left.delete(look);
    }
    return assigned;
  }

  private canAnswer({ shard, tried }: Look): string[] {
    if (!shard.resolved) return [];
    return this.cluster.serving(shard).filter((server) => !tried.has(server));
  }

  private *ask(id: string, asked: ReadonlyMap<string, Look[]>): Workflow<{ found: Found; answered: Set<Look> }> {
    const questions = [...asked].map(([server, looks]) => {
      const shards = looks.map(({ shard, vat, forgottenUpTo }) => ({ shard: shard.id, vat, forgottenUpTo }));
      for (const { tried } of looks) tried.add(server);
      return this.context.ask('operation', { server, request: { epoch: this.cluster.epoch, id, shards } });
    });
    const askedMs = this.context.nowMs;
    const outcomes = yield* wait(all(questions));
    let found: Found = [];
    const answered = new Set<Look>();
    [...asked.values()].forEach((looks, index) => {
      const outcome = outcomes[index];
      if (outcome?.ok === true) {
        // Whoever has turned out to be wrong meanwhile may be the one that was asked.
        const sound = looks.filter(({ shard }) => shard.divergedMs < askedMs);
        const names = new Set(sound.map(({ shard }) => shard.id));
        found = [...found, ...outcome.value.found.filter(({ shard }) => names.has(shard))];
        for (const look of looks) look.tried.clear();
        for (const look of sound) answered.add(look);
      } else if (outcome?.error.code === 'FENCED') this.fenced(outcome.error);
    });
    return { found, answered };
  }
}

/** `silent`: shards of which nobody reported anything. */
function judge(operation: string, found: Found, silent: readonly Look[]): Result<OperationStatus> {
  let added = 0;
  for (const { outcome } of found) {
    if (outcome.refused !== undefined) {
      const refusal: ErrorBody = refusalOf(outcome);
      return { ok: true, value: { operation, outcome: 'refused', refusal } };
    }
    added += outcome.ok;
  }
  if (found.length === 0 && silent.length > 0) {
    return { ok: false, error: unavailable(silent.map(({ shard }) => shard.id)) };
  }
  if (found.length === 0) return { ok: true, value: { operation, outcome: 'unknown' } };
  // How many rows a shard added that nobody can look at now is not known.
  const rows = silent.length > 0 ? {} : { added };
  return { ok: true, value: { operation, outcome: 'committed', ...rows } };
}
