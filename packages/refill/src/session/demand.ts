import type { Demand } from '@tidemark/guard'
import { type Contract, ORIGIN } from '@tidemark/protocol'

/** What a session asks of a keyspace that promises it all. */
export const ALL_PROMISED: Contract['session'] = { readYourWrites: true, monotonicReads: true }

/**
 * What a read must not be behind: of what the session wrote and saw, as much as the keyspace's contract promises. Null
 * when nothing is asked. Pure.
 *
 * A contract waives what its own readers are promised, and nothing else: what a read of it shows is joined into `seen`
 * all the same. A user who saw an order in a list that promises nothing must find it on a page that does.
 */
export function demandOf({ own, seen }: Demand, promised: Contract['session']): Demand | null {
  const demand = { own: promised.readYourWrites ? own : ORIGIN, seen: promised.monotonicReads ? seen : ORIGIN }
  return demand.own === ORIGIN && demand.seen === ORIGIN ? null : demand
}
