/** Administration of the cluster, as the gateway asks it of the leading balancer. */
import type { NatsConnection } from 'nats';
import type {
  AddCommand,
  AddDone,
  ClusterStatus,
  InitCommand,
  OperationStatus,
  RmCommand,
  RmDone,
  ScrubDone,
} from '#common/contracts/commands';
import { ShardlineError } from '#common/contracts/errors';
import { SUBJECTS } from '#common/contracts/subjects';
import { requestJson, throwFailure } from '#common/nats/codec';
import { COMMAND_MESSAGES } from '#common/nats/command-messages';
import { request } from '#common/nats/connection';
import type { Message } from '#common/nats/message';
import { retryQuestion } from './retry-question';

/** Deadlines of administration, in milliseconds. */
export interface ClusterTimes {
  /** For a leader to be there. */
  holdMs: number;
  /** For the answer, once it is there. */
  adminTimeoutMs: number;
  requestTimeoutMs: number;
}

/** A leader that is gone must not use up all the time there is for the question. */
const QUESTION_TIMEOUT_MS = 2_000;

export class ClusterCommands {
  constructor(
    private readonly nats: NatsConnection,
    private readonly times: ClusterTimes,
    /** In words for clients, who need not know of subjects. */
    private readonly whyNobody: () => string,
  ) {}

  /** @throws ShardlineError what the leader answered; NO_LEADER, OUTCOME_UNKNOWN */
  async init(command: InitCommand): Promise<void> {
    await this.administer(SUBJECTS.cmd.init, command, COMMAND_MESSAGES.init.reply);
  }

  /** @throws ShardlineError as `init` */
  add(command: AddCommand): Promise<AddDone> {
    return this.administer(SUBJECTS.cmd.add, command, COMMAND_MESSAGES.add.reply);
  }

  /** @throws ShardlineError as `init` */
  rm(command: RmCommand): Promise<RmDone> {
    return this.administer(SUBJECTS.cmd.rm, command, COMMAND_MESSAGES.rm.reply);
  }

  /** @throws ShardlineError as `init` */
  scrub(): Promise<ScrubDone> {
    return this.administer(SUBJECTS.cmd.scrub, {}, COMMAND_MESSAGES.scrub.reply);
  }

  /** @throws ShardlineError NO_LEADER, also when the leader is there but does not answer: it is safe to ask again */
  status(): Promise<ClusterStatus> {
    return retryQuestion(this.times.holdMs, () =>
      this.statusNow(Math.min(QUESTION_TIMEOUT_MS, this.times.requestTimeoutMs)),
    );
  }

  /** What became of a change. @throws ShardlineError as `status`; NOT_CONFIGURED, SHARD_UNAVAILABLE */
  operation(operation: string): Promise<OperationStatus> {
    const { holdMs, requestTimeoutMs } = this.times;
    const timeoutMs = Math.min(QUESTION_TIMEOUT_MS, requestTimeoutMs);
    return retryQuestion(holdMs, () =>
      this.asQuestion(() => {
        const { reply } = COMMAND_MESSAGES.operation;
        return requestJson(this.nats, SUBJECTS.cmd.operation, { operation }, timeoutMs, reply);
      }),
    );
  }

  /** One attempt. @throws ShardlineError NO_LEADER */
  statusNow(timeoutMs: number): Promise<ClusterStatus> {
    return this.asQuestion(() =>
      requestJson(this.nats, SUBJECTS.cmd.status, {}, timeoutMs, COMMAND_MESSAGES.status.reply),
    );
  }

  /** The leader's metrics as Prometheus text. @throws ShardlineError NO_LEADER, OUTCOME_UNKNOWN */
  async metrics(timeoutMs: number): Promise<string> {
    const data = await request(this.nats, SUBJECTS.cmd.metrics, '', timeoutMs);
    throwFailure(data);
    return Buffer.from(data).toString('utf8');
  }

  private administer<T>(subject: string, command: object, reply: Message<T>): Promise<T> {
    return retryQuestion(this.times.holdMs, async () => {
      try {
        return await requestJson(this.nats, subject, command, this.times.adminTimeoutMs, reply);
      } catch (thrown) {
        const error = ShardlineError.from(thrown);
        throw error.code === 'NO_LEADER' ? this.leaderless(error) : error;
      }
    });
  }

  /** What changes nothing may be asked again when there is no answer. @throws ShardlineError NO_LEADER, what was answered */
  private async asQuestion<T>(ask: () => Promise<T>): Promise<T> {
    try {
      return await ask();
    } catch (thrown) {
      const error = ShardlineError.from(thrown);
      if (error.code === 'NO_LEADER') throw this.leaderless(error);
      if (error.code !== 'OUTCOME_UNKNOWN') throw error;
      throw new ShardlineError('NO_LEADER', 'the leader does not answer', true, { cause: error });
    }
  }

  private leaderless(cause: ShardlineError): ShardlineError {
    return new ShardlineError('NO_LEADER', this.whyNobody(), true, { cause });
  }
}
