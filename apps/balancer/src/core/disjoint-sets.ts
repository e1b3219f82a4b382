/**
 * Names in groups that are joined again and again: union-find with path halving and union by size (Tarjan and van Leeuwen, "Worst-Case
 * Analysis of Set Union Algorithms", 1984), so that joining any number of them takes next to linear time.
 */
export class DisjointSets {
  private readonly parents = new Map<string, string>();
  private readonly sizes = new Map<string, number>();

  /** A name of the group; the same one for all of its members, until it is joined with another. */
  find(name: string): string {
    let current = name;
    for (;;) {
      const parent = this.parents.get(current) ?? current;
      if (parent === current) return current;
      const above = this.parents.get(parent) ?? parent;
      this.parents.set(current, above);
      current = above;
    }
  }

  join(a: string, b: string): void {
    const [one, other] = [this.find(a), this.find(b)];
    if (one === other) return;
    const [sizeOfOne, sizeOfOther] = [this.sizes.get(one) ?? 1, this.sizes.get(other) ?? 1];
    const [small, large] = sizeOfOne < sizeOfOther ? [one, other] : [other, one];
    this.parents.set(small, large);
    this.sizes.set(large, sizeOfOne + sizeOfOther);
  }
}
