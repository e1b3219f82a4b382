/** A client of the gateway, for tests of the cluster behind it. */

export interface Row {
  Stud_id: number;
  Stud_name: string;
  Stud_marks: string;
}

export interface Reply {
  status: number;
  body: Record<string, unknown>;
}

export interface ShardView {
  Shard_id: string;
  VAT: number;
  replicas: { server: string; state: string }[];
  inSync: string[];
}

export class Client {
  /** @param baseUrl where the gateway is by the time that it is asked */
  constructor(private readonly baseUrl: () => string) {}

  async ask(method: string, path: string, body?: unknown): Promise<Reply> {
    const init: RequestInit = { method, headers: { 'content-type': 'application/json' } };
    if (body !== undefined) init.body = JSON.stringify(body);
    const answer = await fetch(this.baseUrl() + path, init);
    return { status: answer.status, body: (await answer.json()) as Record<string, unknown> };
  }

  write(rows: readonly Row[]): Promise<Reply> {
    return this.ask('POST', '/write', { data: rows });
  }

  async rows(low: number, high: number): Promise<Row[]> {
    const { status, body } = await this.ask('POST', '/read', { Stud_id: { low, high } });
    if (status !== 200) throw new Error(`/read answered ${status}: ${JSON.stringify(body)}`);
    return body.data as Row[];
  }

  async shards(): Promise<ShardView[]> {
    return (await this.ask('GET', '/status')).body.shards as ShardView[];
  }

  async servers(): Promise<Record<string, string[]>> {
    return (await this.ask('GET', '/status')).body.servers as Record<string, string[]>;
  }

  /** Whether every replica of every shard is in sync. */
  async isWhole(): Promise<boolean> {
    return (await this.shards()).every((shard) => shard.replicas.every(({ state }) => state === 'in-sync'));
  }

  /** @throws when that takes longer than a minute */
  async untilWhole(): Promise<void> {
    const end = performance.now() + 60_000;
    while (!(await this.isWhole())) {
      if (performance.now() > end) throw new Error(`not whole: ${JSON.stringify(await this.shards())}`);
    }
  }

  /** The epoch of the leader; null while nobody leads. */
  async epoch(): Promise<number | null> {
    const { status, body } = await this.ask('GET', '/status');
    return status === 200 ? (body.epoch as number) : null;
  }

  /** Until somebody leads under a later epoch than this one. @throws when that takes longer than a minute */
  async untilLedAfter(epoch: number): Promise<void> {
    const end = performance.now() + 60_000;
    let last = await this.epoch();
    while (last === null || last <= epoch) {
      if (performance.now() > end) throw new Error(`the epoch is ${last ?? 'nobody’s'}, and was ${epoch}`);
      last = await this.epoch();
    }
  }

  /** Writes rows `from`…`to-1` in batches, several at a time. @throws when one is not acknowledged */
  async fill(from: number, to: number, batch = 500): Promise<void> {
    let next = from;
    const worker = async (): Promise<void> => {
      while (next < to) {
        const start = next;
        next += batch;
        const rows = Array.from({ length: Math.min(batch, to - start) }, (_, index) => student(start + index));
        const { status, body } = await this.write(rows);
        if (status !== 200) throw new Error(`/write answered ${status}: ${JSON.stringify(body)}`);
      }
    };
    await Promise.all([worker(), worker(), worker(), worker()]);
  }
}

export function student(id: number, marks = String(id % 100)): Row {
  return { Stud_id: id, Stud_name: `name ${id}`, Stud_marks: marks };
}
