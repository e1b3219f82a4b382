/** What goes into the core and what comes out of it. */
import type {
  AddCommand,
  AddDone,
  InitCommand,
  OperationName,
  OpResult,
  RmCommand,
  RmDone,
  ScrubDone,
} from '#common/contracts/commands';
import type { ErrorBody } from '#common/contracts/errors';
import type { ClusterEvent } from '#common/contracts/events';
import type {
  CatchupReply,
  CatchupRequest,
  CensusReply,
  ConfigReply,
  ConfigRequest,
  DigestReply,
  DigestRequest,
  FenceReply,
  FenceRequest,
  OperationLookup,
  OperationLookupReply,
  PageRead,
  PartReply,
  PingReply,
  PingRequest,
  ProbeReply,
  ProbeRequest,
  RoundPart,
} from '#common/contracts/node';
import type { OnConflict } from '#common/contracts/commands';

/** A value of the catalog; its revision grows with every change of the key. */
export interface CatalogValue {
  key: string;
  value: unknown;
  revision: number;
}

/** What came of something the core had asked for. */
export type Result<T> = { ok: true; value: T } | { ok: false; error: ErrorBody };

/** Something the core asks for and waits for, with the type of its answer. */
export interface AskTypes {
  ping: { ask: { server: string; request: PingRequest }; answer: PingReply };
  config: { ask: { server: string; request: ConfigRequest }; answer: ConfigReply };
  /** How long does it take you to store something? */
  probe: { ask: { server: string; request: ProbeRequest }; answer: ProbeReply };
  fence: { ask: { server: string; request: FenceRequest }; answer: FenceReply };
  /** `isHurried`: writes wait for it, so it may take no longer than a round. */
  catchup: { ask: { server: string; request: CatchupRequest; isHurried: boolean }; answer: CatchupReply };
  digest: { ask: { server: string; request: DigestRequest }; answer: DigestReply };
  apply: { ask: { server: string; epoch: number; round: RoundPart; rows: string[] }; answer: PartReply[] };
  readOne: { ask: { server: string; epoch: number; read: PageRead }; answer: string | null };
  /** One value of the catalog, null when the key has none. */
  readKey: { ask: { key: string }; answer: CatalogValue | null };
  /** Every value of the catalog. */
  load: { ask: object; answer: CatalogValue[] };
  operation: { ask: { server: string; request: OperationLookup }; answer: OperationLookupReply };
  /** Compare-and-set of a catalog value; `value` null removes it. The answer is the new revision, or null on a conflict. */
  store: { ask: { key: string; value: unknown; expected: number }; answer: number | null };
  /** Everybody who hears the broadcast in time; whoever is missing may be there all the same. */
  census: { ask: object; answer: CensusReply[] };
  /** The shard-nodes that the launcher has data of, whether they run or not. */
  listNodes: { ask: object; answer: string[] };
  startNode: { ask: { server: string }; answer: null };
  removeNode: { ask: { server: string }; answer: null };
  /** Why a server that was started cannot run, as far as that is known; null: it may come yet. */
  nodeFailure: { ask: { server: string }; answer: string | null };
  /** Nothing. What else has happened is handled before the answer: a procedure of many parts is not done in one long step. */
  pause: { ask: object; answer: null };
}
export type AskKind = keyof AskTypes;

/** Something the core asks for; the answer comes back as an event with the same token. */
export type Ask = { [K in AskKind]: { do: K; token: number } & AskTypes[K]['ask'] }[AskKind];

/** The result of an operation, and the row that a point read found. */
export interface Answered {
  result: OpResult<object>;
  row?: string;
}

/** Done with what an administrator asked for. */
export type AdminResult = { init: null } | { add: AddDone } | { rm: RmDone } | { scrub: ScrubDone };

export type Effect =
  | Ask
  /** Answer one operation of a batch. */
  | { do: 'answer'; batch: number; answered: Answered }
  | { do: 'answerAdmin'; request: number; outcome: Result<AdminResult> }
  | { do: 'publish'; event: ClusterEvent }
  /** For whoever reads the log. */
  | { do: 'log'; level: 'debug' | 'info' | 'warn'; message: string; data: Record<string, unknown> }
  /** From now on commands may come in. */
  | { do: 'serve' }
  /** Another one leads: stop at once, answer nothing more. */
  | { do: 'stepDown'; why: string }
  /** After `release`: the lease is released, or was not held. Nothing follows. */
  | { do: 'released' }
  /** A round has ended: for the metrics. */
  | { do: 'roundDone'; requests: number; rows: number; shards: number; tookMs: number };

/** One client operation. `batch` is the message it came with; `id` is its name in there. */
export type RecordCommand = { batch: number; id: number } & (
  | ({ op: 'write'; onConflict: OnConflict; keys: number[]; rows: string[] } & OperationName)
  | ({ op: 'update'; key: number; row: string } & OperationName)
  | ({ op: 'delete'; key: number } & OperationName)
  | { op: 'read'; low: number; high: number; operation?: undefined }
);

export type AdminCommand = { request: number } & (
  | { op: 'init'; command: InitCommand }
  | { op: 'add'; command: AddCommand }
  | { op: 'rm'; command: RmCommand }
  | { op: 'scrub' }
);

/** Every event carries the time, in milliseconds of a clock that only moves forward. */
export type CoreEvent = { nowMs: number } &
  /** The balancer starts, as a standby. */
  (
    | { on: 'start' }
    /** The leader gives its lease back, or is about to. */
    | { on: 'leaderChanged' }
    /** Give the lease back, so that another balancer need not wait for its end. Nothing is begun or answered afterwards. */
    | { on: 'release' }
    | { on: 'records'; configId: number; commands: RecordCommand[] }
    /** What became of the change of that name? Answered as the one operation of a batch. */
    | { on: 'operation'; batch: number; operation: string }
    | { on: 'admin'; command: AdminCommand }
    | { on: 'answered'; token: number; outcome: Result<unknown> }
    | { on: 'tick' }
  );

/** An event as it happens; who steps the core adds the time. */
export type UntimedEvent = CoreEvent extends infer E ? (E extends CoreEvent ? Omit<E, 'nowMs'> : never) : never;

/** An administrator's command as it arrives; who steps the core adds the number by which it knows who asked. */
export type AdminRequest = AdminCommand extends infer C ? (C extends AdminCommand ? Omit<C, 'request'> : never) : never;
