/**
 * The consistent-hash ring of one shard: which of its servers a request goes to.
 *
 * M slots lie on a circle. Every server stands on it as K virtual servers; a request is hashed to a slot and goes to the
 * first server found from there clockwise, that slot included.
 *
 * **Collisions** are probed linearly: a virtual server whose slot is claimed takes the next unclaimed one. Probing past the
 * servers that happen to be *present* would break what a ring is for. When a server leaves, one that it had pushed aside
 * would move back, and keys would move between two servers that both stayed. So claims are made in the order of (server
 * number, virtual server) by *every* number from 0 on, whether a server has that number or not. Where a server stands
 * then follows from its number alone; a server that leaves uncovers its own slots and moves nobody else. With the
 * numbers 0, 1, 2, … in use this is exactly the ring that inserting them in order builds.
 *
 * **More servers than have room** (⌊M/K⌋ numbers, 56 of the published 512 and 9): every further ⌊M/K⌋ numbers claim slots
 * in a storey of their own. A slot may then have a claimant in each storey; who of them comes first differs from slot to
 * slot, by a mixed hash of slot and number, so that later numbers get their share. Again nothing depends on who is there.
 *
 * **Bounded loads** (Mirrokni, Thorup, Zadimoghaddam: Consistent Hashing with Bounded Loads, arXiv:1608.01350): `pick` passes
 * by servers that have their (1+ε) of the mean already.
 */
import { mix32 } from '../kernel/random';

/** Two hash functions, at least 32 bits wide; the ring reduces them to slots. */
export interface RingHash {
  /** Of a request. */
  request(id: number): number;
  /** Of a server's virtual server. */
  server(number: number, virtual: number): number;
}

/** A server on the ring. `number` is a whole number from 0 on that no other server of the ring has. */
export interface RingServer {
  name: string;
  number: number;
}

/** M and K of the published design. */
export const RING_SLOTS = 512;
export const VIRTUAL_SERVERS = 9;

/**
 * The published hashes: H(i) = i² + 2i + 17 and Φ(i, j) = i² + j² + 2j + 25, computed modulo 2^32, which changes nothing
 * modulo M for an M that divides 2^32, as 512 does.
 */
export const PUBLISHED_HASH: RingHash = {
  request: (id) => (Math.imul(id, id) + 2 * (id | 0) + 17) >>> 0,
  server: (number, virtual) => (Math.imul(number, number) + virtual * virtual + 2 * virtual + 25) >>> 0,
};

/** Slack for the rounding of floating point when a bound falls on a whole number. */
const ROUNDING = 1e-9;

/** Immutable: a change of servers is a new ring. */
export class HashRing {
  private constructor(
    private readonly hash: RingHash,
    /** By slot: all servers, in the order in which they are met clockwise. Slots of one arc share the list. */
    private readonly orders: readonly (readonly string[])[],
  ) {}

  /**
   * The ring of these servers; their order does not matter.
   *
   * @throws RangeError when two servers share a name or a number, or a number, `slots` or `virtualServers` is out of range
   */
  static build(
    servers: readonly RingServer[],
    hash: RingHash,
    slots: number = RING_SLOTS,
    virtualServers: number = VIRTUAL_SERVERS,
  ): HashRing {
    checkShape(servers, slots, virtualServers);
    const claims = new ClaimBook(hash, slots, virtualServers);
    const claimants = Array.from({ length: slots }, (): RingServer[] => []);
    for (const server of servers) {
      for (const slot of claims.slotsOf(server.number)) claimants[slot]?.push(server);
    }
    claimants.forEach((rivals, slot) => rivals.sort((a, b) => comparePrecedence(a.number, b.number, slot)));
    return new HashRing(hash, clockwiseOrders(claimants));
  }

  /** The name of the server that owns each slot; empty for a ring without servers. */
  slots(): string[] {
    return this.orders.flatMap((order) => order.slice(0, 1));
  }

  /** Every server once, in the order in which a request meets them clockwise. */
  successors(requestId: number): readonly string[] {
    const slot = this.hash.request(requestId) % this.orders.length;
    return this.orders[slot] ?? [];
  }

  /**
   * The first server clockwise, among the eligible, that with this request would have no more than
   * ⌈(1+ε)·(total+1)/n⌉ requests; `total` and n are taken over the eligible servers. There always is one, unless none
   * is eligible: then undefined.
   *
   * @param loads requests in flight (or counted otherwise) by server; a server that is not named has none
   * @param epsilon how far above the mean a server may go, from 0 on; Infinity for no bound
   */
  pick(
    requestId: number,
    loads: ReadonlyMap<string, number>,
    epsilon: number,
    isEligible: (server: string) => boolean = everyone,
  ): string | undefined {
    const order = this.successors(requestId);
    let total = 0;
    let eligible = 0;
    for (const server of order) {
      if (!isEligible(server)) continue;
      eligible += 1;
      total += loads.get(server) ?? 0;
    }
    const bound = loadBound(total + 1, eligible, epsilon);
    return order.find((server) => isEligible(server) && (loads.get(server) ?? 0) < bound);
  }
}

/** The most requests that one of `servers` may have when there are `total`: ⌈(1+ε)·total/n⌉. */
export function loadBound(total: number, servers: number, epsilon: number): number {
  return Math.ceil(((1 + epsilon) * total) / servers - ROUNDING);
}

function everyone(): boolean {
  return true;
}

function checkShape(servers: readonly RingServer[], slots: number, virtualServers: number): void {
  if (!Number.isSafeInteger(slots) || slots < 1) throw new RangeError(`a ring cannot have ${slots} slots`);
  if (!Number.isSafeInteger(virtualServers) || virtualServers < 1) {
    throw new RangeError(`a server cannot stand on the ring ${virtualServers} times`);
  }
  const numbers = new Set<number>();
  const names = new Set<string>();
  for (const { name, number } of servers) {
    if (names.has(name)) throw new RangeError(`${name} stands on the ring already`);
    names.add(name);
    if (!Number.isSafeInteger(number) || number < 0) throw new RangeError(`${name} cannot have the number ${number}`);
    if (numbers.has(number)) throw new RangeError(`${name} has the number ${number}, as another server has`);
    numbers.add(number);
  }
}

/** Which of two claimants of one slot comes first; follows from the slot and the numbers alone. */
function comparePrecedence(a: number, b: number, slot: number): number {
  const salt = mix32(slot + 1);
  return mix32(a ^ salt) - mix32(b ^ salt) || a - b;
}

/**
 * For each slot all servers as they are met clockwise: its own claimants first, then the next slot's list without them.
 * Going backwards twice around, the second time starts with the list of slot 0 in hand.
 */
function clockwiseOrders(claimants: readonly (readonly RingServer[])[]): string[][] {
  const orders: string[][] = claimants.map(() => []);
  let order: string[] = [];
  for (let step = 2 * claimants.length - 1; step >= 0; step -= 1) {
    const slot = step % claimants.length;
    const here = (claimants[slot] ?? []).map((server) => server.name);
    if (here.length > 0) order = [...here, ...order.filter((server) => !here.includes(server))];
    orders[slot] = order;
  }
  return orders;
}

/** The slots that each server number claims, storey by storey; see the head of this file. */
class ClaimBook {
  private readonly numbersPerStorey: number;
  private readonly storeys = new Map<number, Storey>();

  constructor(
    private readonly hash: RingHash,
    private readonly slots: number,
    private readonly virtualServers: number,
  ) {
    this.numbersPerStorey = Math.max(1, Math.floor(slots / virtualServers));
  }

  slotsOf(number: number): readonly number[] {
    const level = Math.floor(number / this.numbersPerStorey);
    const first = level * this.numbersPerStorey;
    let storey = this.storeys.get(level);
    if (storey === undefined) {
      storey = { claimed: new Array<boolean>(this.slots).fill(false), slotsByNumber: [] };
      this.storeys.set(level, storey);
    }
    while (storey.slotsByNumber.length <= number - first) {
      storey.slotsByNumber.push(this.claim(storey, first + storey.slotsByNumber.length));
    }
    return storey.slotsByNumber[number - first] ?? [];
  }

  /** Claims a slot for each virtual server of the number; with more of them than slots, as many as there are. */
  private claim(storey: Storey, number: number): number[] {
    const taken: number[] = [];
    for (let virtual = 0; virtual < Math.min(this.virtualServers, this.slots); virtual += 1) {
      let slot = this.hash.server(number, virtual) % this.slots;
      while (storey.claimed[slot] === true) slot = (slot + 1) % this.slots;
      storey.claimed[slot] = true;
      taken.push(slot);
    }
    return taken;
  }
}

/** Claims of consecutive numbers, which all have room beside each other. */
interface Storey {
  claimed: boolean[];
  /** From the storey's first number on. */
  slotsByNumber: number[][];
}
