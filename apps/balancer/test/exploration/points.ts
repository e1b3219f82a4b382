/**
 * The points of a world at which something can go wrong: just before a message arrives that is about more than the lease or a heartbeat,
 * before its answer leaves, and before a leader has a process started or removed. Up to the first fault a world has the same points each
 * time.
 */
import type { Result } from '../../src/core/kernel/effects';
import { Network, type Request } from '../simulation/network';

/** What becomes of the message at a point. */
export type Fate = 'arrives' | 'lost' | { lateMs: number } | { againMs: number };

/** Points are counted from 1 on. */
export interface Point {
  place: number;
  /** What kind of request it is; empty for answers, and where there are no kinds. */
  kind: string;
  /** The server that is being removed: what it holds is gone whatever happens now. */
  ending: string | null;
  from: string;
  to: string;
  label: () => string;
}

export class Points {
  /** How many there have been. */
  count = 0;
  /** Says what becomes of the message of a point; nothing goes wrong before it is set. */
  reached: (point: Point) => Fate = () => 'arrives';
  private isCounting = false;

  /** @param withRounds rounds are points, too */
  constructor(readonly withRounds: boolean) {}

  start(): void {
    this.isCounting = true;
  }

  stop(): void {
    this.isCounting = false;
  }

  pass(from: string, to: string, kind: string, label: () => string, ending: string | null = null): Fate {
    return this.isCounting ? this.reached({ place: ++this.count, kind, from, to, label, ending }) : 'arrives';
  }
}

/**
 * Heartbeats and the lease go on all the time: what happens before one of them could happen before any other message. So do rounds, which
 * matter where there is nothing else.
 */
function isOfInterest({ kind, label }: Request, withRounds: boolean): boolean {
  if (kind === 'ping' || (kind === 'apply' && !withRounds)) return false;
  const text = label();
  return text !== 'get leader' && text !== 'store leader';
}

/** A network with points. */
export class PointNetwork extends Network {
  constructor(
    private readonly world: ConstructorParameters<typeof Network>[0],
    private readonly points: Points,
  ) {
    super(world);
  }

  override ask<T>(
    request: Request,
    handle: (reply: (outcome: Result<T>) => void) => void,
    done: (outcome: Result<T>) => void,
  ): void {
    if (!isOfInterest(request, this.points.withRounds)) {
      super.ask(request, handle, done);
      return;
    }
    const { from, to, kind = '', label } = request;
    const answered = (reply: (outcome: Result<T>) => void, outcome: Result<T>): void => {
      this.meet(
        this.points.pass(to, from, '', () => `answer to ${label()}`),
        () => {
          reply(outcome);
        },
      );
    };
    const arrive = (reply: (outcome: Result<T>) => void): void => {
      this.meet(this.points.pass(from, to, kind, label), () => {
        handle((outcome) => {
          answered(reply, outcome);
        });
      });
    };
    super.ask(request, arrive, done);
  }

  private meet(fate: Fate, deliver: () => void): void {
    if (fate === 'lost') return;
    if (fate === 'arrives') deliver();
    else if ('lateMs' in fate) this.world.after(fate.lateMs, deliver);
    else {
      deliver();
      this.world.after(fate.againMs, deliver);
    }
  }
}
