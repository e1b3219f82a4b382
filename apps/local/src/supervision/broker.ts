/** The nats-server that the launcher needs, or a word on how to get it. */
import { NatsServerMissing, provideNatsServer } from '#common/nats/nats-server-binary';
import { EXIT, Refusal } from '../refusal';
import type { Terminal } from '../terminal';

/** The path of a nats-server; fetching one is announced on the terminal, since it may take a while. @throws Refusal */
export async function provideBroker(terminal: Terminal): Promise<string> {
  try {
    return await provideNatsServer((line) => {
      terminal.say(line);
    });
  } catch (error) {
    throw error instanceof NatsServerMissing ? new Refusal(error.message, EXIT.unavailable) : error;
  }
}
