import { OwedAnswers, type AwaitedRound, type Debt } from './owed-answers';
import { Patience } from './patience';

const FLOOR_MS = 500;
const TICK_MS = 50;

/** A round that went to some servers, each of which it can do without or not. */
class Round implements AwaitedRound {
  private readonly open: Set<string>;

  constructor(
    servers: readonly string[],
    private readonly isDispensable: boolean,
  ) {
    this.open = new Set(servers);
  }

  waitsFor(server: string): boolean {
    return this.open.has(server);
  }
  canDoWithout(): boolean {
    return this.isDispensable;
  }
  end(server: string): void {
    this.open.delete(server);
  }
}

/** Rounds, and the answers to them, in a time that goes on tick by tick. */
class Story {
  nowMs = 0;
  readonly given: string[] = [];
  /** Who was found to be too late. */
  readonly late = new Set<string>();
  private readonly sut = new OwedAnswers(new Patience({ floorMs: FLOOR_MS, pauseMs: 1, longestPauseMs: 1 }));
  private readonly debts = new Map<Round, Map<string, Debt>>();
  private count = 0;

  constructor() {
    this.tick();
  }

  send(servers: readonly string[], isDispensable = true): Round {
    const round = new Round(servers, isDispensable);
    const name = `r${this.count++}`;
    const debts = new Map<string, Debt>();
    for (const server of servers) {
      const giveUp = (): void => {
        round.end(server);
        this.given.push(`${name} ${server}`);
      };
      debts.set(server, this.sut.sent(server, round, giveUp, this.nowMs));
    }
    this.debts.set(round, debts);
    return round;
  }

  answer(round: Round, ...servers: string[]): this {
    for (const server of servers) {
      this.settle(round, server, true);
    }
    return this;
  }

  fail(round: Round, server: string): this {
    this.settle(round, server, false);
    return this;
  }

  /** Time passes, with ticks. */
  pass(ms: number): this {
    const endMs = this.nowMs + ms;
    while (this.nowMs < endMs) {
      this.nowMs += TICK_MS;
      this.tick();
    }
    return this;
  }

  /** Time passes in which this process stands still. */
  standStill(ms: number): this {
    this.nowMs += ms;
    this.tick();
    return this;
  }

  private tick(): void {
    for (const server of this.sut.giveUpLate(this.nowMs)) this.late.add(server);
  }

  private settle(round: Round, server: string, isAnswer: boolean): void {
    this.sut.settled(this.debts.get(round)!.get(server)!, isAnswer, this.nowMs);
    round.end(server);
  }
}

test('a server is given up when it is later than the others by more than the patience, and not before', () => {
  const story = new Story();
  const round = story.send(['A', 'B', 'C']);
  story.answer(round, 'A', 'B').pass(FLOOR_MS);
  expect(story.given).toEqual([]);
  story.pass(TICK_MS);
  expect(story.given).toEqual(['r0 C']);
  expect([...story.late]).toEqual(['C']);
});

test('it is given up once', () => {
  const story = new Story();
  story.answer(story.send(['A', 'C']), 'A').pass(3_000);
  expect(story.given).toEqual(['r0 C']);
});

test('nobody is late as long as nobody has answered', () => {
  const story = new Story();
  story.send(['A', 'B']);
  expect(story.pass(5_000).given).toEqual([]);
});

test('what a round cannot do without is waited for, and whoever owes nothing else is not found too late', () => {
  const story = new Story();
  story.answer(story.send(['A', 'C'], false), 'A').pass(5_000);
  expect(story.given).toEqual([]);
  expect(story.late.size).toBe(0);
});

test('the patience begins with the latest of the others', () => {
  const story = new Story();
  const round = story.send(['A', 'B', 'C']);
  story.answer(round, 'A').pass(400).answer(round, 'B').pass(500);
  expect(story.given).toEqual([]);
});

test('what comes behind a round that nobody has stored yet is not late', () => {
  const story = new Story();
  const large = story.send(['A', 'B', 'C']);
  story.answer(story.send(['C', 'D']), 'D').pass(2_000);
  expect(story.given).toEqual([]);
  story.answer(large, 'A', 'B').pass(3_900);
  expect(story.given).toEqual([]);
  expect(story.pass(200).given).toEqual(['r0 C', 'r1 C']);
});

test('one that answers what came before has the whole patience for what comes next', () => {
  const story = new Story();
  const rounds = [0, 1, 2].map(() => story.send(['A', 'C']));
  for (const round of rounds) story.answer(round, 'A');
  for (const round of rounds) story.pass(round === rounds[0] ? 100 : 450).answer(round, 'C');
  expect(story.given).toEqual([]);
});

test('whoever has not answered yet what it was given up for has no patience left', () => {
  const story = new Story();
  story.answer(story.send(['A', 'C']), 'A').pass(600);
  story.answer(story.send(['B', 'C']), 'B').pass(TICK_MS);
  expect(story.given).toEqual(['r0 C', 'r1 C']);
});

test('whoever has answered at last has it again', () => {
  const story = new Story();
  const first = story.send(['A', 'C']);
  story.answer(first, 'A').pass(600).answer(first, 'C');
  story.answer(story.send(['B', 'C']), 'B').pass(450);
  expect(story.given).toEqual(['r0 C']);
});

test('what is usual is waited for, but not what came too late', () => {
  const story = new Story();
  const usual = story.send(['A', 'C']);
  story.answer(usual, 'A').pass(400).answer(usual, 'C');
  const late = story.send(['A', 'C']);
  story.answer(late, 'A').pass(1_000);
  expect(story.given).toEqual([]);
  story.pass(200);
  expect(story.given).toEqual(['r1 C']);
  story.pass(5_000).answer(late, 'C');
  story.answer(story.send(['A', 'C']), 'A').pass(1_200);
  expect(story.given).toEqual(['r1 C', 'r2 C']);
});

test('a failure is no answer: it says nothing of what is usual', () => {
  const story = new Story();
  const round = story.send(['A', 'C']);
  story.answer(round, 'A').pass(400).fail(round, 'C');
  story.answer(story.send(['A', 'C']), 'A').pass(600);
  expect(story.given).toEqual(['r1 C']);
});

test('nobody is late while this process stood still', () => {
  const story = new Story();
  const round = story.send(['A', 'C']);
  story.answer(round, 'A').pass(100).standStill(10_000);
  expect(story.given).toEqual([]);
  expect(story.pass(FLOOR_MS).given).toEqual(['r0 C']);
});
