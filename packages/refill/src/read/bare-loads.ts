import type { Position } from '@tidemark/protocol'
import { Flight, type Flights, Interest } from './flights.ts'
import type { Inquiry } from './inquiry.ts'
import type { Errand, Seen } from './refill.ts'

/** The flight that brings a key to a call. */
export interface Boarding<Value> {
  readonly flight: Flight<Value>
  /** It begins after the call came: all that its session had written by then is visible to it. */
  readonly isSince: boolean
  /** For this call's keys, and no other's. */
  readonly isLed: boolean
}

/** Loads the keys of these errands, lands their flights, and never rejects. */
type LoadBare<Value> = (errands: readonly Errand<Value>[], shown: Position | null, signal: AbortSignal) => Promise<void>

/**
 * Loads without a lease, one of a key at a time. Who asks nothing for a session joins the one that is under way. A session
 * may not: it may have written since that began. Those who come meanwhile share the next one instead, which begins when
 * this one has landed, so a herd of sessions costs two loads. A bypass shares nothing: what the primary shows it, its own
 * look says.
 */
export class BareLoads<Value> {
  readonly #flights: Flights<Value>
  readonly #load: LoadBare<Value>

  constructor(flights: Flights<Value>, load: LoadBare<Value>) {
    this.#flights = flights
    this.#load = load
  }

  /** @param shown what the primary is known to show a bypass */
  board(cases: readonly Seen[], { terms, isBypass }: Inquiry, shown: Position | null): Boarding<Value>[] {
    const [now, next] = [new Group<Value>(), new Group<Value>()]
    const boarded = cases.map((one) => {
      const { key } = one.wanted
      const underWay = isBypass ? null : this.#flights.findBare(key)
      if (underWay && terms.demand === null) return { flight: underWay, isSince: false, isLed: false }
      const queued = isBypass ? null : this.#flights.findNext(key)
      if (queued) return { flight: queued, isSince: true, isLed: false }
      if (underWay) return next.add(one, this.#flights.queue(key, next.interest), underWay)
      return now.add(one, isBypass ? new Flight<Value>(now.interest) : this.#flights.begin(key, true, now.interest))
    })
    void this.#fly(now, shown)
    void this.#fly(next, shown)
    return boarded
  }

  /** Ends: flights land within loadMs. */
  async #fly({ errands, after, interest }: Group<Value>, shown: Position | null): Promise<void> {
    if (errands.length === 0) return
    if (after.length > 0) {
      await Promise.all(after.map((flight) => flight.hasLanded))
      for (const { wanted, flight } of errands) this.#flights.began(wanted.key, flight)
    }
    await this.#load(errands, shown, interest.signal)
  }
}

/** Keys of one call that are loaded together. */
class Group<Value> {
  readonly interest = new Interest()
  readonly errands: Errand<Value>[] = []
  /** What is under way, and is waited for. */
  readonly after: Flight<Value>[] = []

  add({ wanted, sight }: Seen, flight: Flight<Value>, after?: Flight<Value>): Boarding<Value> {
    this.errands.push({ wanted, sight, mayWait: false, flight })
    if (after) this.after.push(after)
    return { flight, isSince: true, isLed: true }
  }
}
