/** Copies from another shard-node over NATS. */
import { ShardlineError } from '#common/contracts/errors';
import type { CopyRequest } from '#common/contracts/node';
import { nodeSubject } from '#common/contracts/subjects';
import { readRowsAnswer } from '#common/nats/codec';
import { request as ask, type NatsConnection } from '#common/nats/connection';
import { NODE_MESSAGES } from '#common/nats/node-messages';
import type { CopySource } from '../../ports/copy-source';
import type { VersionPage } from '../../ports/version-store';

export class NatsCopySource implements CopySource {
  constructor(
    /** The connection, once there is one. */
    private readonly nats: () => NatsConnection,
    private readonly timeoutMs: number,
  ) {}

  async fetch(server: string, request: CopyRequest): Promise<VersionPage> {
    const data = await this.ask(server, request);
    const { header, text } = readRowsAnswer(NODE_MESSAGES.copy.reply, data);
    return { ...header, text };
  }

  private async ask(server: string, request: CopyRequest): Promise<Uint8Array> {
    try {
      return await ask(this.nats(), nodeSubject(server, 'copy'), JSON.stringify([request]), this.timeoutMs);
    } catch (cause) {
      // To whoever asked us, we are there; it is the source that is not.
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new ShardlineError('SHARD_UNAVAILABLE', `cannot copy from ${server}: ${why}`, true, { cause });
    }
  }
}
