/** How many reads there were, and how many of them Redis answered. */
export class Tally {
  reads = 0
  hits = 0

  note(isHit: boolean): void {
    this.reads++
    if (isHit) this.hits++
  }

  copy(): Tally {
    return Object.assign(new Tally(), this)
  }

  /** The share of hits among the reads since a copy was made. */
  hitRateSince(copy: Tally): number {
    return (this.hits - copy.hits) / (this.reads - copy.reads)
  }
}
