import { CopyThrottle, SLICE_BYTES } from './copy-throttle';
import { StepContext } from '../kernel/step-context';
import { spawn } from '../kernel/workflow';

function throttleOf(copyBytesPerS: number): {
  throttle: CopyThrottle;
  grants: number[];
  ask: () => void;
  pass: (ms: number) => void;
} {
  const context = new StepContext();
  context.nowMs = 5_000;
  const throttle = new CopyThrottle(context, { copyBytesPerS });
  const grants: number[] = [];
  return {
    throttle,
    grants,
    ask: () => {
      spawn(throttle.grant(), (bytes) => grants.push(bytes));
    },
    pass: (ms) => {
      context.nowMs += ms;
      context.wakeSleepers();
    },
  };
}

test('without a limit everybody may take a whole slice at once', () => {
  const { grants, ask } = throttleOf(0);
  ask();
  ask();
  expect(grants).toEqual([SLICE_BYTES, SLICE_BYTES]);
});

test('a quarter of a second’s worth may flow at once, however long nothing was copied', () => {
  const { grants, ask, pass } = throttleOf(1_000);
  ask();
  pass(3_600_000);
  ask();
  expect(grants).toEqual([250, 250]);
});

test('what was not used of a grant may be used by the next, and what was used beyond it delays that', () => {
  const { throttle, grants, ask, pass } = throttleOf(1_000);
  ask();
  throttle.took(250, 100);
  ask();
  expect(grants).toEqual([250, 150]);
  throttle.took(150, 650);
  ask();
  pass(500);
  expect(grants).toHaveLength(2);
  pass(1);
  expect(grants).toEqual([250, 150, 1]);
});

test('those who wait are served in turn, each after its time', () => {
  const { grants, ask, pass } = throttleOf(1_000);
  for (let count = 0; count < 3; count += 1) ask();
  expect(grants).toEqual([250]);
  pass(100);
  // The next one has its turn, and takes what flows while it waits.
  expect(grants).toEqual([250, 100]);
  pass(1);
  expect(grants).toEqual([250, 100, 1]);
});

test('nobody is granted more than one slice, however much may flow', () => {
  const { grants, ask } = throttleOf(100 * SLICE_BYTES);
  ask();
  ask();
  expect(grants).toEqual([SLICE_BYTES, SLICE_BYTES]);
});

test('however little may flow, a byte does', () => {
  const { grants, ask, pass } = throttleOf(1);
  ask();
  ask();
  expect(grants).toEqual([1]);
  pass(1_000);
  expect(grants).toEqual([1, 1]);
});
