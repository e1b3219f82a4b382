/**
 * Names in groups that are joined again and again: union-find with path halving (Tarjan and van Leeuwen, "Worst-Case Analysis of Set
 * Union Algorithms", 1984). Each of m operations on n names takes O(log n) on average, whichever group is put below the other.
 */
export class DisjointSets {
  private readonly parents = new Map<string, string>();

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
    this.parents.set(this.find(a), this.find(b));
  }
}
