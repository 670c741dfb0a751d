import type { View } from '@tidemark/guard'
import type { Loaded } from '../sources/labelled-load.ts'
import type { Budget } from './budget.ts'

/** What became of the refill of one key. */
export type Brought<Value> =
  | {
      readonly code: 'loaded'
      readonly from: string
      readonly loaded: Loaded<Value>
      /** As it was before the lease, or before the load where there was none. */
      readonly view: View | null
      readonly isStored: boolean
    }
  /** There was no lease to load under. */
  | { readonly code: 'unleased'; readonly why: 'changed' | 'busy' | 'view-missing' | 'gap' | 'redis-away' }
  /** `isShared`: other keys were loaded along with this one, and may be to blame. */
  | { readonly code: 'failed'; readonly error: unknown; readonly isShared: boolean }

/** Counts who waits for something. Its signal is aborted when nobody does any more. */
export class Interest {
  readonly #controller = new AbortController()
  #waiting = 0

  get signal(): AbortSignal {
    return this.#controller.signal
  }

  enter(): void {
    this.#waiting++
  }

  leave(): void {
    if (--this.#waiting === 0) this.#controller.abort(new Error('nobody waits for the load any more'))
  }
}

/** One refill of one key, for all of this process who need it. It always lands, and never rejects. */
export class Flight<Value> {
  readonly #interest: Interest
  readonly #brought = Promise.withResolvers<Brought<Value>>()
  readonly #onLanded: (flight: Flight<Value>) => void

  constructor(interest: Interest, onLanded: (flight: Flight<Value>) => void = () => undefined) {
    this.#interest = interest
    this.#onLanded = onLanded
  }

  /** For what only waits for its turn, and has no interest in what it brings. */
  get hasLanded(): Promise<unknown> {
    return this.#brought.promise
  }

  get isAbandoned(): boolean {
    return this.#interest.signal.aborted
  }

  land(brought: Brought<Value>): void {
    this.#onLanded(this)
    this.#brought.resolve(brought)
  }

  /** Null when the budget is over first. Rejects with the reason of the budget's signal, and goes on for the others. */
  async wait(budget: Budget): Promise<Brought<Value> | null> {
    this.#interest.enter()
    try {
      return await budget.within(this.#brought.promise)
    } finally {
      this.#interest.leave()
    }
  }

  /** Until it has landed, however long that takes: flights have bounds of their own. */
  async landed(): Promise<Brought<Value>> {
    this.#interest.enter()
    try {
      return await this.#brought.promise
    } finally {
      this.#interest.leave()
    }
  }
}

/** The flights of a cache by their keys: a second reader of a key joins the first one's. */
export class Flights<Value> {
  readonly #leased = new Map<string, Flight<Value>>()
  /** Beside those: who asks for a lease in vain must not hide the load that is under way without one. */
  readonly #bare = new Map<string, Flight<Value>>()
  /** Those that begin when the bare one of their key has landed. */
  readonly #next = new Map<string, Flight<Value>>()

  /** One that a reader may join. What a bare one brings says nothing to a session. */
  find(key: string, isSession: boolean): Flight<Value> | null {
    return joinable(this.#leased.get(key)) ?? (isSession ? null : this.findBare(key))
  }

  findBare(key: string): Flight<Value> | null {
    return joinable(this.#bare.get(key))
  }

  /** The one that has not begun: good for whoever has come by now. */
  findNext(key: string): Flight<Value> | null {
    return joinable(this.#next.get(key))
  }

  /** A flight that others find until it lands, or a newer one takes its place. */
  begin(key: string, isBare: boolean, interest: Interest): Flight<Value> {
    return listed(isBare ? this.#bare : this.#leased, key, new Flight<Value>(interest, this.#landed(key)))
  }

  /** A bare flight that others find as the next one until it has begun. */
  queue(key: string, interest: Interest): Flight<Value> {
    return listed(this.#next, key, new Flight<Value>(interest, this.#landed(key)))
  }

  /** What was queued is under way. */
  began(key: string, flight: Flight<Value>): void {
    if (this.#next.get(key) === flight) this.#next.delete(key)
    listed(this.#bare, key, flight)
  }

  #landed(key: string) {
    return (flight: Flight<Value>) => {
      for (const flights of [this.#leased, this.#bare]) if (flights.get(key) === flight) flights.delete(key)
    }
  }
}

function listed<Value>(flights: Map<string, Flight<Value>>, key: string, flight: Flight<Value>): Flight<Value> {
  flights.set(key, flight)
  return flight
}

function joinable<Value>(flight: Flight<Value> | undefined): Flight<Value> | null {
  return flight === undefined || flight.isAbandoned ? null : flight
}
