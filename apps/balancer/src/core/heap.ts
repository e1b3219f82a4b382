/** Items of which the least one comes first: a binary heap (Williams, "Algorithm 232", 1964). */
export class Heap<T> {
  private readonly items: T[] = [];

  /** @param isBefore whether the first item comes before the second */
  constructor(private readonly isBefore: (a: T, b: T) => boolean) {}

  get least(): T | undefined {
    return this.items[0];
  }

  push(item: T): void {
    let place = this.items.push(item) - 1;
    while (place > 0) {
      const parent = (place - 1) >> 1;
      if (!this.swapIfBefore(place, parent)) return;
      place = parent;
    }
  }

  pop(): T | undefined {
    const { items } = this;
    const least = items[0];
    const last = items.pop();
    if (items.length === 0 || last === undefined) return least;
    items[0] = last;
    for (let place = 0; ;) {
      const [left, right] = [2 * place + 1, 2 * place + 2];
      const child = right < items.length && this.comesBefore(right, left) ? right : left;
      if (child >= items.length || !this.swapIfBefore(child, place)) return least;
      place = child;
    }
  }

  clear(): void {
    this.items.length = 0;
  }

  private comesBefore(a: number, b: number): boolean {
    const [one, other] = [this.items[a], this.items[b]];
    return one !== undefined && other !== undefined && this.isBefore(one, other);
  }

  private swapIfBefore(child: number, parent: number): boolean {
    const [one, other] = [this.items[child], this.items[parent]];
    if (one === undefined || other === undefined || !this.isBefore(one, other)) return false;
    [this.items[child], this.items[parent]] = [other, one];
    return true;
  }
}
