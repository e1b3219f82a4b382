/** Carries a story's commands out, one after the other, and writes down what comes of it. */
import { Clients } from './clients';
import { Narrator } from './narrator';
import { pictureOfConfigurations, pictureOfEpochs, pictureOfLeader, pictureOfReplicas } from './pictures';
import type { Fate } from './post';
import { wishOf } from './wishes';
import { World, type Balancer } from './world';

const KEYS_PER_SHARD = 10;
/** By then a message has arrived, and what it leads to has been stored. */
const ON_THE_WAY_MS = 10;
/** So long is waited for an answer before the story goes on without it. */
const PATIENCE_MS = 1_500;
const SCHEMA = { columns: ['id', 'value'], dtypes: ['Number' as const, 'String' as const] };

export class Stage {
  private readonly narrator = new Narrator();
  private readonly world = new World(this.narrator);
  private readonly clients = new Clients(this.world, (line) => {
    this.narrator.say(line);
  });
  private readonly shards: string[] = [];
  private readonly lines: string[] = [];
  /** Those of administrators; the first made the cluster. */
  private requests = 1;

  constructor() {
    this.narrator.answered = (batch, answered) => {
      this.clients.answered(batch, answered);
    };
  }

  /** The recorded output of these commands. */
  async perform(lines: readonly string[]): Promise<string> {
    for (const line of lines) {
      if (line.startsWith('#')) this.lines.push('', line);
      else {
        this.narrator.lines = [];
        await this.carryOut(line);
        this.lines.push(`> ${line}`, ...this.narrator.lines.map((one) => `    ${one}`));
      }
      const { violation } = this.world.scheduler;
      if (violation !== null) throw new Error(violation);
    }
    return this.lines.join('\n').trim();
  }

  private async carryOut(line: string): Promise<void> {
    const [verb = '', ...words] = line.split(' ');
    const isBegun = verb === 'begin';
    const [text = '', at] = (isBegun ? words.join(' ') : line).split(' at ');
    const wish = wishOf(text);
    if (wish === null) {
      await this.direct(verb, words, line);
      return;
    }
    const balancer = at === undefined ? this.leader() : this.balancer(at);
    const client = this.clients.ask(balancer, text, wish);
    if (isBegun) return;
    if (wish.kind === 'read' && wish.isHeld) return;
    await this.world.scheduler.pass(PATIENCE_MS, () => this.clients.isDone(client));
    this.clients.leaveWaiting(client);
  }

  /** What happens to the cluster. */
  private async direct(verb: string, words: readonly string[], line: string): Promise<void> {
    const { world } = this;
    const [first = '', second = ''] = words;
    switch (verb) {
      case 'cluster':
        await this.makeCluster(line);
        break;
      case 'start':
        for (const name of words) world.startBalancer(name);
        break;
      case 'run':
        await world.scheduler.pass(Number(first));
        break;
      case 'pause':
        if (world.balancers.has(first)) this.balancer(first).pause(Number(second));
        else world.pauseServer(first, Number(second));
        break;
      case 'kill':
        for (const name of words) this.kill(name);
        break;
      case 'stop':
        this.balancer(first).stop();
        break;
      case 'wipe':
        world.wipe(first);
        break;
      case 'power':
        for (const name of words.slice(1)) this.power(first, name);
        break;
      case 'cut':
        world.post.cut(first, second);
        break;
      case 'mend':
        world.post.heal();
        break;
      case 'lose':
      case 'hold':
      case 'copy':
        for (const server of words.slice(1)) world.post.decree(server, `${verb} ${first}` as Fate);
        break;
      case 'deliver':
        world.post.deliver();
        await world.scheduler.pass(ON_THE_WAY_MS);
        break;
      case 'finish':
        this.clients.pull(Number(first));
        break;
      case 'tamper':
        await this.tamper(first, second);
        break;
      case 'scrub':
        this.leader().dispatch({ on: 'admin', command: { request: ++this.requests, op: 'scrub' } });
        await world.scheduler.pass(PATIENCE_MS);
        break;
      case 'bucket':
        if (first === 'backup') world.bucket.remember();
        else world.bucket.rollBack();
        break;
      case 'set':
        world.set(first as Parameters<World['set']>[0], Number(second));
        break;
      case 'show':
        await this.show(first);
        break;
      default:
        throw new Error(`no story knows "${line}"`);
    }
  }

  /** `cluster S0 S1 S2 / a: S0 S1 S2 / b: S1 S2 S0`; the first shard has the keys 0 to 9, the next 10 to 19. */
  private async makeCluster(line: string): Promise<void> {
    const [head = '', ...parts] = line.split(' / ');
    const names = head.split(' ').slice(1);
    const servers: Record<string, string[]> = Object.fromEntries(names.map((name) => [name, []]));
    const shards = parts.map((part, index) => {
      const [shard = '', on = ''] = part.split(': ');
      for (const name of on.split(' ')) servers[name]?.push(shard);
      return { shard, low: index * KEYS_PER_SHARD, size: KEYS_PER_SHARD };
    });
    this.shards.push(...shards.map(({ shard }) => shard));
    const { scheduler } = this.world;
    this.narrator.isMuted = true;
    const leader = this.world.startBalancer('L1');
    await scheduler.pass(PATIENCE_MS, () => leader.isServing);
    const command = { n: names.length, schema: SCHEMA, shards, servers, allowReinit: false };
    leader.dispatch({ on: 'admin', command: { request: 1, op: 'init', command } });
    await scheduler.pass(PATIENCE_MS, () => leader.cluster.phase === 'serving');
    this.narrator.isMuted = false;
    if (leader.cluster.phase !== 'serving') throw new Error('the cluster did not come into being');
  }

  /** The balancer that clients find: of those that serve, the one with the highest epoch. */
  private leader(): Balancer {
    const serving = [...this.world.balancers.values()].filter(({ isServing, isAlive }) => isServing && isAlive);
    const [leader] = serving.sort((a, b) => b.cluster.epoch - a.cluster.epoch);
    if (leader === undefined) throw new Error('nobody leads');
    return leader;
  }

  private balancer(name: string): Balancer {
    const balancer = this.world.balancers.get(name);
    if (balancer === undefined) throw new Error(`there is no balancer ${name}`);
    return balancer;
  }

  private kill(name: string): void {
    if (this.world.balancers.has(name)) this.balancer(name).crash();
    else this.world.killServer(name);
  }

  private power(state: string, name: string): void {
    if (this.world.balancers.has(name)) this.balancer(name).crash();
    else if (state === 'off') this.world.powerOff(name);
    else this.world.powerOn(name);
  }

  private async tamper(server: string, record: string): Promise<void> {
    const [key = '', value = null] = record.split('=');
    const shard = this.shards[Math.floor(Number(key) / KEYS_PER_SHARD)] ?? '';
    await this.world.tamper(server, shard, Number(key), value);
  }

  private async show(what: string): Promise<void> {
    const lines: string[] = [];
    for (const shard of this.shards) {
      if (what === 'replicas') lines.push(...(await pictureOfReplicas(this.world, shard)));
      if (what === 'configurations') lines.push(...(await pictureOfConfigurations(this.world, shard)));
      if (what === 'epochs') lines.push(...(await pictureOfEpochs(this.world, shard)));
    }
    if (what === 'clients') lines.push(...this.clients.unanswered());
    if (what === 'shards') lines.push(...pictureOfLeader(this.leader()));
    for (const line of lines) this.narrator.say(line);
  }
}
