/** Items of which the least one comes first: a binary heap (Williams, "Algorithm 232", 1964). */
export class Heap<T> {
  private readonly items: T[] = [];

  /** @param isBefore whether the first item comes before the second */
  constructor(private readonly isBefore: (a: T, b: T) => boolean) {}

  get size(): number {
    return this.items.length;
  }

  get least(): T | undefined {
    return this.items[0];
  }

  push(item: T): void {
    let place = this.items.push(item) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!this.comesBefore(place, parent)) return;
      this.swap(place, parent);
      place = parent;
    }
  }

  pop(): T | undefined {
    const [least] = this.items;
    const last = this.items.pop() as T;
    if (this.items.length === 0) return least;
    this.items[0] = last;
    for (let place = 0; ;) {
      const child = this.lesserChild(place);
      if (child >= this.items.length || !this.comesBefore(child, place)) return least;
      this.swap(child, place);
      place = child;
    }
  }

  clear(): void {
    this.items.length = 0;
  }

  /** A place at or beyond the end when there is no child. */
  private lesserChild(place: number): number {
    const [left, right] = [2 * place + 1, 2 * place + 2];
    return right < this.items.length && this.comesBefore(right, left) ? right : left;
  }

  /** Both places are taken. */
  private comesBefore(a: number, b: number): boolean {
    return this.isBefore(this.items[a] as T, this.items[b] as T);
  }

  private swap(a: number, b: number): void {
    [this.items[a], this.items[b]] = [this.items[b] as T, this.items[a] as T];
  }
}
