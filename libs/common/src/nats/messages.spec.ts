import fc from 'fast-check';
import { z } from 'zod';
import { errorAnswer } from '../contracts/errors';
import { SUBJECTS } from '../contracts/subjects';
import { arbitraryOf } from '../testing/arbitrary';
import { readAnswer, readMessage, readNothing, readRawLines, readRowsAnswer } from './codec';
import { COMMAND_MESSAGES, EVENT, TAKE_OVER_NEWS } from './command-messages';
import { encodeRawLines } from './lines';
import { Message, type Exchange } from './message';
import { CENSUS_REPLY, NODE_MESSAGES } from './node-messages';

const bytes = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const BAD_MESSAGE: unknown = expect.objectContaining({ code: 'BAD_MESSAGE' });

function both(exchanges: Record<string, Exchange<unknown, unknown>>): [string, Message<unknown>][] {
  return Object.entries(exchanges).flatMap(([name, { request, reply }]) => [
    [`${name} request`, request],
    [`${name} reply`, reply],
  ]);
}

const MESSAGES: [string, Message<unknown>][] = [
  ...both(NODE_MESSAGES),
  ...both(COMMAND_MESSAGES),
  ['census reply', CENSUS_REPLY],
  ['event', EVENT],
  ['take-over news', TAKE_OVER_NEWS],
  ['failure', new Message<unknown>(errorAnswer)],
];

/** Every object in the value that has a definition of its own, with that definition, and a way to change it. */
function objectsIn(shape: z.core.$ZodType, value: unknown): { fields: string[]; at: Record<string, unknown> }[] {
  if (shape instanceof z.ZodObject) {
    const at = value as Record<string, unknown>;
    const fieldOf = (name: string): z.core.$ZodType => shape.shape[name] as z.core.$ZodType;
    const fields = Object.keys(shape.shape).filter((name) => fieldOf(name)._zod.def.type !== 'optional');
    const inner = Object.entries(at).flatMap(([name, field]) => objectsIn(fieldOf(name), field));
    return [{ fields, at }, ...inner];
  }
  if (shape instanceof z.ZodArray) return (value as unknown[]).flatMap((item) => objectsIn(shape.element, item));
  if (shape instanceof z.ZodRecord) {
    return Object.values(value as object).flatMap((item: unknown) => objectsIn(shape.valueType, item));
  }
  if (shape instanceof z.ZodUnion) {
    const option = shape.options.find((one) => z.safeParse(one, value).success);
    return option === undefined ? [] : objectsIn(option, value);
  }
  if (shape instanceof z.ZodNullable) return value === null ? [] : objectsIn(shape.unwrap(), value);
  return shape instanceof z.ZodExactOptional ? objectsIn(shape.unwrap(), value) : [];
}

describe.each(MESSAGES)('%s', (_name, message) => {
  const values = arbitraryOf(message.shape);
  const changed = fc.tuple(values, fc.nat(), fc.nat());

  test('comes out as it went in, with every field', () => {
    fc.assert(
      fc.property(values, (value) => {
        expect(readMessage(message, bytes(value))).toEqual(value);
        expect(readRawLines(message, encodeRawLines(value, '{"id":1}'))).toEqual({ header: value, text: '{"id":1}' });
      }),
      { numRuns: 60 },
    );
  });

  test('is refused with a field that it does not have, wherever that stands', () => {
    fc.assert(
      fc.property(changed, ([original, place]) => {
        const value = structuredClone(original);
        const objects = objectsIn(message.shape, value);
        objects[place % objects.length]!.at.unheardOf = 1;
        expect(() => readMessage(message, bytes(value))).toThrow(BAD_MESSAGE as Error);
        expect(() => readMessage(message, bytes(value))).toThrow(/unheardOf/);
      }),
      { numRuns: 60 },
    );
  });

  test('is refused without a field that it must have, wherever that stands', () => {
    fc.assert(
      fc.property(changed, ([original, place, which]) => {
        const value = structuredClone(original);
        const objects = objectsIn(message.shape, value).filter(({ fields }) => fields.length > 0);
        if (objects.length === 0) return;
        const { fields, at } = objects[place % objects.length]!;
        Reflect.deleteProperty(at, fields[which % fields.length]!);
        expect(() => readMessage(message, bytes(value))).toThrow(BAD_MESSAGE as Error);
      }),
      { numRuns: 60 },
    );
  });

  test('is judged by the compiled validator as by its definition', () => {
    const near = fc.tuple(changed, fc.constantFrom<unknown>(null, -1, 0.5, 2 ** 53 + 2, '', 'a b', true, [], {}));
    fc.assert(
      fc.property(near, ([[original, place, which], other]) => {
        const value = structuredClone(original);
        const objects = objectsIn(message.shape, value);
        const { at } = objects[place % objects.length]!;
        const names = Object.keys(at);
        if (names.length > 0) at[names[which % names.length]!] = other;
        expect(message.accepts(value)).toBe(message.shape.safeParse(value).success);
      }),
      { numRuns: 100 },
    );
  });
});

test('every subject has its messages', () => {
  const { metrics, ...commands } = SUBJECTS.cmd;
  expect(Object.keys(COMMAND_MESSAGES).sort()).toEqual(Object.keys(commands).sort());
  expect(metrics).toBe('shardline.cmd.metrics');
});

describe('an answer', () => {
  const failure = { error: { code: 'FENCED', message: 'epoch 7 is over', retryable: false, epoch: 8 } };
  const { digest, read } = NODE_MESSAGES;

  test.each<[string, () => unknown]>([
    ['without rows', () => readAnswer(digest.reply, bytes(failure))],
    ['with rows', () => readRowsAnswer(read.reply, bytes(failure))],
  ])('%s may be a failure, which is thrown', (_name, act) => {
    expect(act).toThrow(expect.objectContaining({ code: 'FENCED', message: 'epoch 7 is over' }) as Error);
  });

  test.each([
    { error: { code: 'FENCED' } },
    { ...failure, digest: 'x' },
    { error: { ...failure.error, code: 'NO_SUCH_CODE' } },
    { error: null },
  ])('that fails in a way that nobody knows cannot be read: %j', (answer) => {
    expect(() => readAnswer(digest.reply, bytes(answer))).toThrow(BAD_MESSAGE as Error);
    expect(() => readRowsAnswer(read.reply, bytes(answer))).toThrow(BAD_MESSAGE as Error);
  });
});

test('a message that says nothing has no bytes, or no fields', () => {
  readNothing(new Uint8Array(0));
  readNothing(bytes({}));
  expect(() => {
    readNothing(bytes({ more: 1 }));
  }).toThrow(BAD_MESSAGE as Error);
});
