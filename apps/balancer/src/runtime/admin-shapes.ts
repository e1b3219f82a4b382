/** An administrator's command, as it arrives. The gateway sends no wrong one; a person with the `nats` CLI may. */
import { ShardlineError } from '#common/contracts/errors';
import { parseJson } from '#common/nats/connection';
import { faultsOf, type Message } from '#common/nats/message';

/** @throws ShardlineError BAD_MESSAGE where it is no JSON, BAD_REQUEST where it is not such a command */
export function readCommand<T>(message: Message<T>, data: Uint8Array): T {
  const command = parseJson<unknown>(data);
  if (message.accepts(command)) return command;
  throw new ShardlineError('BAD_REQUEST', faultsOf(message.shape, command));
}
