/** The cluster's events, with the times at which they came. */
const { connect } = require('nats');

class Events {
  static async of(natsUrl) {
    const nats = await connect({ servers: natsUrl, maxReconnectAttempts: -1, reconnectTimeWait: 100 });
    const events = new Events(nats);
    nats.subscribe('shardline.event.>', {
      callback: (_error, message) => {
        const { type, subject, data } = message.json();
        events.all.push({ atMs: performance.now(), kind: type.replace('io.shardline.', ''), subject, data });
        for (const wake of events.waiting.splice(0)) wake();
      },
    });
    await nats.flush();
    return events;
  }

  constructor(nats) {
    this.nats = nats;
    this.all = [];
    this.waiting = [];
  }

  /** Events of a kind since then, of any subject or of one. */
  since(fromMs, kind, subject) {
    return this.all.filter(
      (event) => event.atMs >= fromMs && event.kind === kind && (subject === undefined || event.subject === subject),
    );
  }

  /** The first one since then. @throws when there is none in time */
  async first(fromMs, kind, subject, timeoutMs) {
    const deadlineMs = performance.now() + timeoutMs;
    for (;;) {
      const [event] = this.since(fromMs, kind, subject);
      if (event !== undefined) return event;
      const leftMs = deadlineMs - performance.now();
      if (leftMs <= 0) throw new Error(`no event ${kind} within ${timeoutMs} ms`);
      await new Promise((resolve) => {
        const timer = setTimeout(resolve, leftMs);
        this.waiting.push(() => {
          clearTimeout(timer);
          resolve();
        });
      });
    }
  }

  close() {
    return this.nats.close();
  }
}

module.exports = { Events };
