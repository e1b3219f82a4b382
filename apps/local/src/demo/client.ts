/** The gateway as the demo uses it: like any client, over HTTP. */
import { Refusal } from '../refusal';
import { EXAMPLE, type Student } from './students';

const ANSWER_DEADLINE_MS = 120_000;

/** What the demo looks at in `GET /status`. */
export interface Status {
  N: number;
  servers: Record<string, string[]>;
}

export class Client {
  constructor(readonly baseUrl: string) {}

  /** Configures the cluster with the published example. The same configuration a second time changes nothing. @throws Refusal */
  async init(): Promise<string> {
    const { status, body } = await this.ask('POST', '/init', EXAMPLE);
    if (status === 200) return String((body as { message?: unknown }).message);
    if (status !== 409) throw unexpected('POST /init', status, body);
    throw new Refusal(
      'this cluster has another configuration than the demo needs: run the demo on a folder of its own ' +
        '(make demo ARGS="--data-dir .shardline-demo --port 5100 --nats-port 4322"), or drop this one (make stop clean)',
    );
  }

  async status(): Promise<Status> {
    return (await this.expect('GET', '/status')) as Status;
  }

  /** Writes all of them or none; those that exist are replaced. */
  async write(students: Student[]): Promise<void> {
    await this.expect('POST', '/write?onConflict=replace', { data: students });
  }

  /** Every student with `low <= Stud_id <= high`, and the shards that were asked. */
  async read(low: number, high: number): Promise<{ shards: string[]; rows: Student[] }> {
    const answer = await this.expect('POST', '/read', { Stud_id: { low, high } });
    const { shards_queried: shards, data: rows } = answer as { shards_queried: string[]; data: Student[] };
    return { shards, rows };
  }

  /** Whether every shard can be written and read. */
  async isReady(): Promise<boolean> {
    return (await this.ask('GET', '/readyz')).status === 200;
  }

  private async expect(method: string, path: string, body?: unknown): Promise<unknown> {
    const answer = await this.ask(method, path, body);
    if (answer.status !== 200) throw unexpected(`${method} ${path}`, answer.status, answer.body);
    return answer.body;
  }

  private async ask(method: string, path: string, body?: unknown): Promise<{ status: number; body: unknown }> {
    const answer = await fetch(this.baseUrl + path, {
      method,
      signal: AbortSignal.timeout(ANSWER_DEADLINE_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body), headers: { 'content-type': 'application/json' } }),
    });
    const text = await answer.text();
    return { status: answer.status, body: text.startsWith('{') ? JSON.parse(text) : text };
  }
}

function unexpected(what: string, status: number, body: unknown): Refusal {
  return new Refusal(`${what} answered ${status}: ${JSON.stringify(body).slice(0, 300)}`);
}
