/** When a connection has been re-established: what was under way on the old one is lost, or its answer is. */
import { Events, type NatsConnection } from 'nats';

const listeners = new WeakMap<NatsConnection, Set<() => void>>();

/** Calls `heard` each time the connection is back, until the returned function is called. */
export function onReconnect(nats: NatsConnection, heard: () => void): () => void {
  const all = listeners.get(nats) ?? follow(nats);
  all.add(heard);
  return () => {
    all.delete(heard);
  };
}

function follow(nats: NatsConnection): Set<() => void> {
  const all = new Set<() => void>();
  listeners.set(nats, all);
  void (async () => {
    for await (const { type } of nats.status()) {
      if (type === Events.Reconnect) for (const heard of [...all]) heard();
    }
  })();
  return all;
}
