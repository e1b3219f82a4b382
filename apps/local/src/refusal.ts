/** Something is not as it must be, and the person at the terminal can do something about it. */
import { EXIT } from '#common/process/exit-status';

export { EXIT };

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
