/**
 * A TCP proxy between the services and their NATS server. It knows each connection by the name that its client gives itself,
 * and can hold it still, break it, or lose, repeat and delay single messages on it, in both directions.
 */
import { connect, createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { clientName, FrameCutter, isMessage, type Frame } from './nats-frames';
import type { Chance } from './chance';

/**
 * What is done to a connection. `stall`: nothing moves, in either direction, and the connection stays open; afterwards all that
 * was on its way arrives. `break`: it is closed, and so is every new one. `harm`: each message is lost, repeated or
 * delayed (by up to `lateMs`, so that others overtake it) with the given probabilities. `drop`: messages of which `drops` says so are lost.
 */
export type Treatment =
  | { how: 'stall' }
  | { how: 'break' }
  | { how: 'drop'; drops: (message: Frame) => boolean }
  | { how: 'harm'; lose: number; repeat: number; delay: number; lateMs: number };

/** The treatment of the connection with this name; undefined: none. */
export type Rule = (name: string) => Treatment | undefined;

const HOST = '127.0.0.1';

export class NatsProxy {
  private readonly links = new Set<Link>();
  private rule: Rule = () => undefined;

  private constructor(
    private readonly server: Server,
    private readonly natsPort: number,
    private readonly chance: Chance,
  ) {}

  /** Listens on a free port; what connects there is passed on to `natsPort` of this machine, whether somebody listens yet or not. */
  static async open(natsPort: number, chance: Chance): Promise<NatsProxy> {
    const server = createServer({ noDelay: true });
    const proxy = new NatsProxy(server, natsPort, chance);
    server.on('connection', (socket) => {
      proxy.accept(socket);
    });
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(0, HOST, resolve);
    });
    return proxy;
  }

  /** What the services are given as NATS_URL. */
  get url(): string {
    return `nats://${HOST}:${(this.server.address() as AddressInfo).port}`;
  }

  /** The names of those that are connected now. */
  get names(): string[] {
    return [...this.links].map(({ name }) => name).filter((name) => name !== undefined);
  }

  /** From now on connections are treated like this, those that are there as well as those that come. */
  treat(rule: Rule): void {
    this.rule = rule;
    for (const link of this.links) link.treat();
  }

  /** Nothing is done to anybody any more. */
  heal(): void {
    this.treat(() => undefined);
  }

  async close(): Promise<void> {
    for (const link of this.links) link.end();
    await new Promise<void>((resolve) => {
      this.server.close(() => {
        resolve();
      });
    });
  }

  private accept(socket: Socket): void {
    const upstream = connect({ host: HOST, port: this.natsPort, noDelay: true });
    const link = new Link(socket, upstream, this.chance, (name) => this.rule(name));
    this.links.add(link);
    socket.on('close', () => this.links.delete(link));
  }
}

/** One client's connection and ours to the server on its behalf. */
class Link {
  name: string | undefined;
  private readonly ways: readonly Way[];

  constructor(
    private readonly client: Socket,
    private readonly server: Socket,
    chance: Chance,
    private readonly rule: Rule,
  ) {
    const there = new Way(client, server, chance, (frame) => {
      this.learn(frame);
    });
    this.ways = [there, new Way(server, client, chance, () => undefined)];
    for (const [one, other] of [
      [client, server],
      [server, client],
    ] as const) {
      one.on('error', () => {
        this.end();
      });
      // What is still to be written is written first.
      one.on('close', () => other.end());
    }
  }

  /** Does what the rule says now. */
  treat(): void {
    if (this.name === undefined) return;
    const treatment = this.rule(this.name);
    if (treatment?.how === 'break') this.end();
    else for (const way of this.ways) way.treat(treatment);
  }

  end(): void {
    this.client.destroy();
    this.server.destroy();
  }

  private learn(frame: Frame): void {
    const name = clientName(frame);
    if (name === undefined) return;
    this.name = name;
    this.treat();
  }
}

/** One direction of a link. Whoever takes nothing is sent no more, as if the proxy were not there. */
class Way {
  private readonly cutter = new FrameCutter();
  private treatment: Treatment | undefined;
  /** What had been read already when the connection was made to stand still. */
  private held: Frame[] = [];

  constructor(
    private readonly from: Socket,
    private readonly to: Socket,
    private readonly chance: Chance,
    look: (frame: Frame) => void,
  ) {
    from.on('data', (chunk: Buffer) => {
      for (const frame of this.cutter.push(chunk)) {
        look(frame);
        this.pass(frame);
      }
    });
    to.on('drain', () => {
      if (this.treatment?.how !== 'stall') from.resume();
    });
  }

  treat(treatment: Treatment | undefined): void {
    this.treatment = treatment;
    if (treatment?.how === 'stall') {
      this.from.pause();
      return;
    }
    for (const frame of this.held.splice(0)) this.pass(frame);
    this.from.resume();
  }

  private pass(frame: Frame): void {
    if (this.treatment?.how === 'stall') this.held.push(frame);
    else if (this.treatment?.how === 'harm' && isMessage(frame)) this.harm(frame, this.treatment);
    else if (this.treatment?.how !== 'drop' || !isMessage(frame) || !this.treatment.drops(frame)) this.send(frame);
  }

  private harm(frame: Frame, { lose, repeat, delay, lateMs }: Treatment & { how: 'harm' }): void {
    if (this.chance.happens(lose)) return;
    if (this.chance.happens(delay)) this.sendLater(frame, lateMs);
    else this.send(frame);
    if (this.chance.happens(repeat)) this.sendLater(frame, lateMs);
  }

  private sendLater(frame: Frame, lateMs: number): void {
    setTimeout(() => {
      this.send(frame);
    }, this.chance.below(lateMs)).unref();
  }

  private send({ bytes }: Frame): void {
    if (this.to.destroyed) return;
    if (!this.to.write(bytes)) this.from.pause();
  }
}
