/** Rules of the protocol, each broken on purpose: the simulation must notice every one of them. */
import type { ErrorBody } from '#common/contracts/errors';
import type { OpOutcome } from '#common/contracts/node';
import type { AskTypes, Effect } from '../../src/core/effects';
import type { BalancerCore } from '../../src/core/balancer-core';
import type { Cluster } from '../../src/core/cluster';
import type { Desk } from '../../src/core/desk';
import type { LaneRequest, ShardLanes } from '../../src/core/shard-lane';
import type { Workflow } from '../../src/core/workflow';
import { WriteRound, type GivenUp } from '../../src/core/write-round';
import type { Flaws } from './simulation';

type Ask = Extract<Effect, { token: number }>;

/** What is broken, and within how many seeds, from the first that is tried, that must show. */
export interface Weakness {
  name: string;
  fromSeed: number;
  withinSeeds: number;
  flaws: () => Flaws;
}

export const WEAKNESSES: readonly Weakness[] = [
  {
    name: 'acknowledges without waiting for a replica that fails',
    fromSeed: 1,
    withinSeeds: 40,
    flaws: acknowledgesEarly,
  },
  {
    name: 'takes a replica into the in-sync set without the last difference',
    fromSeed: 1,
    withinSeeds: 100,
    flaws: losesLastDifference,
  },
  {
    name: 'believes the highest term to be committed at take-over',
    fromSeed: 1,
    withinSeeds: 600,
    flaws: believesHighestTerm,
  },
  { name: 'fences nobody', fromSeed: 1, withinSeeds: 200, flaws: fencesNobody },
  { name: 'supersedes no refused round', fromSeed: 1, withinSeeds: 200, flaws: supersedesNothing },
  {
    name: 'takes replicas out of the in-sync set in memory only',
    fromSeed: 1,
    withinSeeds: 100,
    flaws: forgetsConfigurations,
  },
];

/** A replica that fails is taken to have done what another one did. */
function acknowledgesEarly(): Flaws {
  const replies = new Map<string, AskTypes['apply']['answer']>();
  return {
    interceptAsk: (ask, carryOut, answer) => {
      if (ask.do !== 'apply') {
        carryOut(ask, answer);
        return;
      }
      const nameOf = (shard: string): string => `${ask.epoch}/${ask.round.round}/${shard}`;
      carryOut(ask, (outcome) => {
        const known = ask.round.parts.map(({ shard }) =>
          replies.get(nameOf(shard))?.find((part) => part.shard === shard),
        );
        if (outcome.ok) {
          const parts = outcome.value as AskTypes['apply']['answer'];
          for (const part of parts) replies.set(nameOf(part.shard), [part]);
          answer(outcome);
        } else answer(known.includes(undefined) ? outcome : { ok: true, value: known });
      });
    },
  };
}

/** What is copied while the lane is held comes without its rows. */
function losesLastDifference(): Flaws {
  let isEntering = false;
  return {
    patchCore: (core) => {
      const { recovery, writer } = insides(core);
      const copy = recovery.copy.bind(recovery);
      recovery.copy = function* (plan, to) {
        isEntering = writer.lanes.isLocked(plan.shard.id) && plan.from > 0;
        return yield* copy(plan, to);
      };
    },
    wrapSource: (_server, source) => ({
      fetch: async (from, request) => {
        const page = await source.fetch(from, request);
        return isEntering && request.from > 0 ? { count: 0, text: '', largestRowBytes: 0, next: null } : page;
      },
    }),
  };
}

function believesHighestTerm(): Flaws {
  return changeFenceReply((state) => ({ ...state, toldVat: state.currentTerm }));
}

type ShardTold = AskTypes['fence']['answer']['shards'][number];

function changeFenceReply(change: (state: ShardTold) => ShardTold): Flaws {
  return {
    interceptAsk: (ask, carryOut, answer) => {
      carryOut(ask, (outcome) => {
        if (ask.do !== 'fence' || !outcome.ok) {
          answer(outcome);
          return;
        }
        const reply = outcome.value as AskTypes['fence']['answer'];
        answer({ ok: true, value: { ...reply, shards: reply.shards.map(change) } });
      });
    },
  };
}

/** Every request carries the highest epoch that there is, whoever sends it. */
function fencesNobody(): Flaws {
  let highest = 0;
  return {
    interceptAsk: (ask, carryOut, answer) => {
      if (ask.do === 'fence') highest = Math.max(highest, ask.request.epoch);
      carryOut(withEpoch(ask, highest), answer);
    },
  };
}

function withEpoch(ask: Ask, epoch: number): Ask {
  if (ask.do === 'apply' || ask.do === 'readOne') return { ...ask, epoch: Math.max(ask.epoch, epoch) };
  if (!('request' in ask)) return ask;
  return { ...ask, request: { ...ask.request, epoch: Math.max(ask.request.epoch, epoch) } } as Ask;
}

const UNKNOWN: ErrorBody = { code: 'OUTCOME_UNKNOWN', message: 'nobody knows', retryable: false };

/** A round without what was refused goes to the shards that still have something to do, the others go on at once. */
function supersedesNothing(): Flaws {
  return {
    patchCore: (core) => {
      const { writer, cluster, desk } = insides(core);
      writer.runAgain = (failed, requests, { waiting = [], refusals = new Map() } = {}) => {
        for (const request of waiting) writer.refuse(request, UNKNOWN);
        for (const [request, outcome] of refusals) writer.answer(request, outcome);
        const again = new WriteRound(writer.nextRound++, requests, (id) => cluster.shards.get(id)!, desk.nowMs);
        writer.lanes.release([...failed.shards.keys()].filter((id) => !again.shards.has(id)));
        if (requests.length > 0) writer.send(again, () => undefined);
      };
    },
  };
}

/** The catalog never hears that a replica left the in-sync set. */
function forgetsConfigurations(): Flaws {
  return {
    interceptAsk: (ask, carryOut, answer) => {
      const { inSync } = (ask.do === 'store' ? (ask.value ?? {}) : {}) as { inSync?: string[] };
      const isDemotion = ask.do === 'store' && ask.expected > 0 && ask.key.startsWith('shard.') && inSync?.length === 2;
      if (isDemotion) answer({ ok: true, value: ask.expected });
      else if (ask.do === 'config')
        carryOut(
          {
            ...ask,
            request: { ...ask.request, shards: ask.request.shards.map((shard) => ({ ...shard, configVersion: 1 })) },
          },
          answer,
        );
      else carryOut(ask, answer);
    },
  };
}

/** The parts of the core that are broken here, and that nobody else may reach. */
interface Insides {
  recovery: { copy: (plan: { shard: { id: string }; from: number }, to: number) => Workflow<unknown> };
  writer: {
    nextRound: number;
    lanes: ShardLanes;
    runAgain: (failed: WriteRound, requests: readonly LaneRequest[], left?: Partial<GivenUp>) => void;
    answer: (request: LaneRequest, outcome: OpOutcome) => void;
    refuse: (request: LaneRequest, error: ErrorBody) => void;
    send: (round: WriteRound, ended: () => void) => void;
  };
  cluster: Cluster;
  desk: Desk;
}

function insides(core: BalancerCore): Insides {
  return core as unknown as Insides;
}
