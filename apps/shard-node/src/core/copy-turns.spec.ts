import { CopyTurns } from './copy-turns';

const REFUSED = expect.objectContaining({ code: 'BAD_REQUEST' }) as Error;

const asked =
  (turns: CopyTurns, epoch: number, turn: number, shard = 'a') =>
  (): void => {
    turns.admit({ epoch, turn, shard });
  };

it('a request is taken once, and none after a later one', () => {
  const turns = new CopyTurns();
  asked(turns, 1, 5)();
  expect(asked(turns, 1, 5)).toThrow(REFUSED);
  expect(asked(turns, 1, 4)).toThrow(REFUSED);
  asked(turns, 1, 6)();
});

it('each shard by itself', () => {
  const turns = new CopyTurns();
  asked(turns, 1, 5)();
  asked(turns, 1, 4, 'b')();
  expect(asked(turns, 1, 4)).toThrow(REFUSED);
});

it('a later leader starts counting from zero, and an earlier one is late whatever it counts', () => {
  const turns = new CopyTurns();
  asked(turns, 1, 5)();
  asked(turns, 2, 1)();
  expect(asked(turns, 1, 9)).toThrow(REFUSED);
  expect(asked(turns, 1, 9, 'b')).toThrow(REFUSED);
  expect(asked(turns, 2, 1)).toThrow(REFUSED);
});
