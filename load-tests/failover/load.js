/** Clients that change records and read them back, each waiting for its answer; what they saw, with its times. */
const { Agent, request } = require('node:http');

/** A client that has no answer by then counts it as an error. */
const CLIENT_TIMEOUT_MS = 60_000;

function longest(requests) {
  return requests.reduce((most, { startMs, endMs }) => Math.max(most, endMs - startMs), 0);
}

class Load {
  /**
   * @param rows every client changes rows of its own among them, so that it knows what it must read
   */
  constructor(baseUrl, clients, rows) {
    this.url = new URL(baseUrl);
    this.agent = new Agent({ keepAlive: true, maxSockets: clients });
    /** Answered changes, and reads of what they changed: when they were sent and answered. */
    this.writes = [];
    this.reads = [];
    this.errors = [];
    this.stopped = false;
    const work = async (client) => {
      const own = rows.filter((_, index) => index % clients === client);
      for (let turn = 1; !this.stopped; turn += 1) await this.turn(own[turn % own.length], turn);
    };
    this.done = Promise.all(Array.from({ length: clients }, (_, client) => work(client)));
  }

  async stop() {
    this.stopped = true;
    await this.done;
    this.agent.destroy();
  }

  /** What was seen of changes that were answered in `[fromMs, toMs]`. */
  between(fromMs, toMs) {
    const answered = this.writes.filter(({ endMs }) => endMs >= fromMs && endMs <= toMs);
    const ends = [fromMs, ...answered.map(({ endMs }) => endMs), toMs].sort((a, b) => a - b);
    const errors = this.errors.filter(({ atMs }) => atMs >= fromMs && atMs <= toMs);
    return {
      writes: answered.length,
      errors,
      /** The longest that one change took. */
      longestMs: longest(answered),
      longestReadMs: longest(this.reads.filter(({ endMs }) => endMs >= fromMs && endMs <= toMs)),
      /** The longest time in which no change was answered to anybody. */
      silenceMs: ends.reduce((most, endMs, index) => Math.max(most, endMs - (ends[index - 1] ?? endMs)), 0),
    };
  }

  async turn(row, turn) {
    const data = { ...row, Stud_marks: String(turn) };
    const startMs = performance.now();
    const changed = await this.ask('PUT', '/update', { Stud_id: row.Stud_id, data });
    if (changed !== null) this.writes.push({ startMs, endMs: performance.now() });
    const readMs = performance.now();
    const read = await this.ask('POST', '/read', { Stud_id: row.Stud_id });
    if (read === null || changed === null) return;
    this.reads.push({ startMs: readMs, endMs: performance.now() });
    if (read.data[0]?.Stud_marks !== data.Stud_marks) {
      this.failed(`read ${JSON.stringify(read.data)} after ${JSON.stringify(data)} was acknowledged`);
    }
  }

  /** The answer; null when it was none that a client wants. */
  ask(method, path, body) {
    const { hostname, port } = this.url;
    const text = JSON.stringify(body);
    const headers = { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) };
    return new Promise((resolve) => {
      const fail = (why) => {
        this.failed(`${method} ${path}: ${why}`);
        resolve(null);
      };
      const asked = request({ hostname, port, method, path, headers, agent: this.agent }, (answer) => {
        const chunks = [];
        answer.on('data', (chunk) => chunks.push(chunk));
        answer.on('error', (error) => fail(error.message));
        answer.on('end', () => {
          const text = Buffer.concat(chunks).toString();
          if (answer.statusCode === 200) resolve(JSON.parse(text));
          else fail(`${answer.statusCode} ${text.slice(0, 200)}`);
        });
      });
      asked.setTimeout(CLIENT_TIMEOUT_MS, () => asked.destroy(new Error('no answer in time')));
      asked.on('error', (error) => fail(error.message));
      asked.end(text);
    });
  }

  failed(what) {
    this.errors.push({ atMs: performance.now(), what });
  }
}

module.exports = { Load };
