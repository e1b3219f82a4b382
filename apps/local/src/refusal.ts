/** Something is not as it must be, and the person at the terminal can do something about it. */

/** EX_USAGE, EX_UNAVAILABLE and EX_CONFIG of sysexits.h. */
export const EXIT = { failed: 1, usage: 64, unavailable: 69, config: 78 } as const;

/** The launcher does not go on. The message is what is printed: it says what is wrong and what to do. */
export class Refusal extends Error {
  override readonly name = 'Refusal';
  constructor(
    message: string,
    readonly exitStatus: number = EXIT.failed,
  ) {
    super(message);
  }
}
