/** What a step costs: in time, which depends on the machine, or in function calls, which do not. */
import { Session, type Profiler } from 'node:inspector';
import { createRequire } from 'node:module';

/** Measures one step after the other. */
export interface Meter {
  start(): void;
  /** What has been spent since `start`. */
  stop(): number;
}

/** CPU time of the process in milliseconds: that of V8's own threads counts, too. */
export class CpuTime implements Meter {
  private started = process.cpuUsage();

  start(): void {
    this.started = process.cpuUsage();
  }

  stop(): number {
    const { user, system } = process.cpuUsage(this.started);
    return (user + system) / 1_000;
  }
}

const CLOCK_THREAD_CPUTIME_ID = 3;
const TIMESPEC_BYTES = 16;

/** A C function as Koffi calls it. */
interface Koffi {
  load(library: null): { func(declaration: string): (clock: number, time: Buffer) => number };
}

/** CPU time of this thread in milliseconds, on Linux: what keeps the event loop from everything else. */
export class ThreadTime implements Meter {
  private readonly getTime = (createRequire(__filename)('koffi') as Koffi)
    .load(null)
    .func('int clock_gettime(int clock, void *time)');
  private readonly time = Buffer.alloc(TIMESPEC_BYTES);
  private started = 0;

  start(): void {
    this.started = this.nowMs();
  }

  stop(): number {
    return this.nowMs() - this.started;
  }

  /** @throws Error where there is no such clock */
  private nowMs(): number {
    if (this.getTime(CLOCK_THREAD_CPUTIME_ID, this.time) !== 0)
      throw new Error('there is no clock of CPU time by thread');
    return Number(this.time.readBigInt64LE(0)) * 1_000 + Number(this.time.readBigInt64LE(8)) / 1_000_000;
  }
}

/** What is counted: the core and the rules that it goes by. */
const COUNTED = /\/(src\/core|src\/protocol)\//;

/**
 * Calls of functions of the core, as V8 counts them for coverage: the same on every machine. Counted are those from the beginning, from
 * one `stop` to the next: between steps the core does nothing.
 */
export class Calls implements Meter {
  private readonly session = new Session();

  constructor() {
    this.session.connect();
    this.session.post('Profiler.enable');
    this.session.post('Profiler.startPreciseCoverage', { callCount: true, detailed: false });
  }

  start(): void {
    // V8 counts all the time, and starts over with each look.
  }

  stop(): number {
    let calls = 0;
    for (const { url, functions } of this.take())
      if (COUNTED.test(url)) for (const { ranges } of functions) calls += ranges[0]?.count ?? 0;
    return calls;
  }

  /** Ends the counting, which makes everything slower. */
  end(): void {
    this.session.post('Profiler.stopPreciseCoverage');
    this.session.disconnect();
  }

  /** The counts since they were taken last: V8 answers before `post` returns. */
  private take(): readonly Profiler.ScriptCoverage[] {
    let taken: readonly Profiler.ScriptCoverage[] = [];
    this.session.post('Profiler.takePreciseCoverage', (error, { result }) => {
      if (error !== null) throw error;
      taken = result;
    });
    return taken;
  }
}
