/**
 * The lifeline between the launcher and every service under it, at any depth.
 *
 * Each service is born with one end of a pair of connected sockets, at the file descriptor that `LIFELINE_FD` names, and hands it
 * on to the services that it starts; the launcher has the other end. However the launcher ends, SIGKILL included, the kernel
 * closes that, and the services stop themselves. There is no name in a folder that somebody could remove, and no moment in which
 * a service lives without it. A process id would do the same less surely: it can be used again by another process.
 *
 * It works the other way round too: the pair closes when the last service that has its end is gone, so the launcher knows when
 * all are. When the launcher wants them to stop it closes its half only, and sees the other half close. Nothing is ever written
 * to it: several may listen at one end, and only one would hear it.
 */
import type { ChildProcess } from 'node:child_process';
import { fstatSync } from 'node:fs';
import { Socket } from 'node:net';
import { ConfigError } from '../config/env';

/** Where a child finds its end: the first descriptor behind standard input, output and error. */
export const LIFELINE_FD = 3;

/** The launcher's ends. */
export class Lifelines {
  private readonly sockets = new Set<Socket>();
  private readonly waiting = new Set<() => void>();

  /** Keeps the lifeline of a child that was spawned with `'pipe'` at `LIFELINE_FD` of its `stdio`. */
  hold(child: ChildProcess): void {
    const socket = child.stdio[LIFELINE_FD];
    if (!(socket instanceof Socket)) return; // it could not be started
    this.sockets.add(socket);
    // Else its end would be noticed only when somebody reads.
    socket.resume();
    socket.on('error', () => socket.destroy());
    socket.on('close', () => {
      this.sockets.delete(socket);
      for (const check of this.waiting) check();
    });
  }

  /** Asks all to stop. */
  release(): void {
    for (const socket of this.sockets) socket.end();
  }

  /** Resolves to true when nobody holds on any more, to false when `deadlineMs` have passed. */
  async empty(deadlineMs: number): Promise<boolean> {
    if (this.sockets.size === 0) return true;
    return new Promise((resolve) => {
      const end = (answer: boolean): void => {
        clearTimeout(timer);
        this.waiting.delete(check);
        resolve(answer);
      };
      const check = (): void => {
        if (this.sockets.size === 0) end(true);
      };
      const timer = setTimeout(() => {
        end(false);
      }, deadlineMs);
      this.waiting.add(check);
    });
  }

  /** Lets everybody go at once. */
  close(): void {
    for (const socket of this.sockets) socket.destroy();
  }
}

/** A service's end. */
export class Lifeline {
  /** What is done when it is cut; at the start, before there is anything to finish, that is the end. */
  private onCut: () => void;
  private isCut = false;

  private constructor(
    /** Undefined: there is nobody to watch. */
    readonly fd: number | undefined,
    onCut: () => void,
  ) {
    this.onCut = onCut;
    if (fd === undefined) return;
    // Half open: else Node would close the end of all who share it, and the launcher took them for gone.
    const socket = new Socket({ fd, allowHalfOpen: true });
    const cut = (): void => {
      if (this.isCut) return;
      this.isCut = true;
      this.onCut();
    };
    socket.on('error', cut);
    socket.on('end', cut);
    socket.resume();
  }

  /**
   * Takes hold of the lifeline at the descriptor that `LIFELINE_FD` of `env` names; unset: there is nobody to watch. `onCut` is called
   * once, when the launcher asks to stop or is gone. It stays in our hands until this process ends, by which the launcher notices it.
   *
   * @throws ConfigError when there is no such descriptor
   */
  static hold(env: NodeJS.ProcessEnv, onCut: () => void): Lifeline {
    const given = env.LIFELINE_FD?.trim() ?? '';
    return new Lifeline(given === '' ? undefined : descriptorOf(given), onCut);
  }

  /** From now on `onCut` is called instead, if the lifeline was not cut yet. */
  whenCut(onCut: () => void): void {
    this.onCut = onCut;
  }
}

/** Node's own descriptors come behind those that a process is born with, and some are sockets: only a low one is believed. */
function descriptorOf(given: string): number {
  const fd = /^[3-9]$/.test(given) ? Number(given) : undefined;
  if (fd !== undefined && isSocket(fd)) return fd;
  const what = 'it must be the descriptor, 3 to 9, of a socket whose other end the launcher has';
  throw new ConfigError(`wrong configuration: LIFELINE_FD is ${JSON.stringify(given)}: ${what}`);
}

function isSocket(fd: number): boolean {
  try {
    return fstatSync(fd).isSocket();
  } catch {
    return false; // there is none
  }
}
