import { growthFault } from './growth';

const zeros = (size: number): string => `${'0'.repeat(size)}1`;

test('linear work is found to be linear', () => {
  expect(growthFault(50_000, zeros, (text) => void Array.from(text).join())).toBeNull();
});

test('a little more than linear is no fault', () => {
  const numbers = (size: number): number[] => Array.from({ length: size }, (_, index) => (index * 7_919) % size);
  expect(growthFault(20_000, numbers, (list) => void [...list].sort((a, b) => a - b))).toBeNull();
});

test('quadratic work is found, however little there is of it', () => {
  const names = (size: number): string[] => Array.from({ length: size }, (_, index) => `name${index}`);
  const repeated = (list: readonly string[]): string | undefined =>
    list.find((name, index) => list.indexOf(name) !== index);
  expect(growthFault(2_000, names, (list) => void repeated(list))).toMatch(/times as much took/);
});
