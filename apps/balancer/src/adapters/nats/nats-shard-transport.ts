import { nodeSubject, type NodeVerb } from '#common/contracts/subjects';
import { request, requestJson, parseJson, unwrapAnswer, type NatsConnection } from '#common/nats/connection';
import { encodeLines, decodeLines } from '#common/nats/lines';
export class NatsShardTransport {
  constructor(private nats: NatsConnection, private o: any) {}
  private json(server: string, verb: NodeVerb, req: any, t: number): Promise<any> { return requestJson(this.nats, nodeSubject(server, verb), req, t); }
  ping(s: string, r: any) { return this.json(s, 'ping', r, this.o.pingTimeoutMs); }
  config(s: string, r: any) { return this.json(s, 'config', r, this.o.adminTimeoutMs); }
  fence(s: string, r: any) { return this.json(s, 'fence', r, this.o.adminTimeoutMs); }
  catchup(s: string, r: any) { return this.json(s, 'catchup', r, this.o.catchupTimeoutMs); }
  digest(s: string, r: any) { return this.json(s, 'digest', r, this.o.catchupTimeoutMs); }
  async apply(server: string, epoch: number, round: any, rows: readonly string[]): Promise<any> {
    const data = await request(this.nats, nodeSubject(server, 'apply'), encodeLines({ epoch, rounds: [round] }, rows), this.o.applyTimeoutMs);
    const a: any = data[0] === 91 ? decodeLines(data).header : unwrapAnswer(parseJson<any>(data));
    return a.rounds[0].parts;
  }
  async readOne(server: string, epoch: number, read: any): Promise<any> {
    const data = await request(this.nats, nodeSubject(server, 'read'), encodeLines({ epoch, reads: [read], maxBytes: 524288 }, []), this.o.readTimeoutMs);
    if (data[0] !== 91) unwrapAnswer(parseJson<any>(data));
    return decodeLines(data).rows[0] ?? null;
  }
}
