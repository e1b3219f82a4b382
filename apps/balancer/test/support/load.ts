import { student, type Client, type Row } from '#common/testing/client';

/** Clients that write, update, delete and read until stopped; they know what must be there. */
export class Load {
  readonly expected = new Map<number, Row>();
  readonly failures: string[] = [];
  acknowledged = 0;
  private stopped = false;
  private readonly running: Promise<void>[];

  /** @param tolerant whether a 503 or 504 is no failure; what became of the change is then looked up */
  constructor(
    private readonly client: Client,
    clients: number,
    from: number,
    to: number,
    private readonly tolerant = false,
  ) {
    const share = Math.floor((to - from) / clients);
    this.running = Array.from({ length: clients }, (_, index) => this.work(from + index * share, share));
  }

  async stop(): Promise<void> {
    this.stopped = true;
    await Promise.all(this.running);
  }

  /** One client, alone on its keys, so that it knows what to expect. */
  private async work(from: number, share: number): Promise<void> {
    for (let turn = 0; !this.stopped; turn += 1) {
      const id = from + (turn % share);
      const present = this.expected.get(id);
      if (present === undefined) await this.change('POST', '/write', { data: [student(id)] }, id, student(id));
      else if (turn % 3 === 0) await this.change('DELETE', '/del', { Stud_id: id }, id, undefined);
      else {
        const row = student(id, `turn ${turn}`);
        await this.change('PUT', '/update', { Stud_id: id, data: row }, id, row);
      }
      const { status, body } = await this.client.ask('POST', '/read', { Stud_id: id });
      const expected = this.expected.get(id);
      const data = JSON.stringify(body.data);
      if (status !== 200 || data !== JSON.stringify(expected === undefined ? [] : [expected])) {
        this.failures.push(`read of ${id}: ${status} ${data}, expected ${JSON.stringify(expected)}`);
      }
    }
  }

  /** A change whose answer was lost has happened or has not; nothing else can be there. */
  private async learn(id: number, changed: Row | undefined): Promise<void> {
    const [found] = await this.client.rows(id, id);
    const possible = [this.expected.get(id), changed].map((row) => JSON.stringify(row));
    if (!possible.includes(JSON.stringify(found))) {
      this.failures.push(`after a lost answer ${id} is ${JSON.stringify(found)}, not one of ${possible.join(', ')}`);
    }
    if (found === undefined) this.expected.delete(id);
    else this.expected.set(id, found);
  }

  private async change(method: string, path: string, body: unknown, id: number, row: Row | undefined): Promise<void> {
    const reply = await this.client.ask(method, path, body);
    if (this.tolerant && (reply.status === 503 || reply.status === 504)) {
      await this.learn(id, row);
      return;
    }
    if (reply.status !== 200) {
      this.failures.push(`${method} ${path} ${id}: ${reply.status} ${JSON.stringify(reply.body)}`);
      return;
    }
    this.acknowledged += 1;
    if (row === undefined) this.expected.delete(id);
    else this.expected.set(id, row);
  }
}
