/** The rows of the simulated table: a key, and a mark that no other row has. */

export const SCHEMA = { columns: ['id', 'mark'], dtypes: ['Number' as const, 'String' as const] };

export function rowOf(key: number, mark: string): string {
  return `{"id":${key},"mark":"${mark}"}`;
}

/** The mark in a row's text. */
export function markOf(row: string): string {
  return (JSON.parse(row) as { mark: string }).mark;
}

export function keyOf(row: string): number {
  return (JSON.parse(row) as { id: number }).id;
}
