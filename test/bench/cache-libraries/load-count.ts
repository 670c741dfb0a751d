import assert from 'node:assert/strict'
import type { Place } from './library.ts'

/** Counts the loads at a place. */
export class LoadCount {
  count = 0
  readonly place: Place

  constructor(place: Place) {
    this.place = {
      ...place,
      load: (db, id) => {
        this.count++
        return place.load(db, id)
      },
    }
  }

  /** Throws when there was a load meanwhile: then it was no hit that was measured. */
  async none<T>(work: () => Promise<T>): Promise<T> {
    const before = this.count
    const result = await work()
    assert.equal(this.count, before, 'what is measured as hits is no load')
    return result
  }
}
