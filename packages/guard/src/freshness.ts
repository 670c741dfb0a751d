import { type Contract, maxPosition, type Position, satisfies } from '@tidemark/protocol'
import type { Cell } from './cell.ts'
import { floorOf, type View } from './view.ts'

/** What of a view a cell is judged by; of a copy in a process, what the feed has told of it. */
export type Known = Pick<View, 'watermark' | 'beat' | 'floors' | 'gap'>

/** What a session must not read behind: `own` is past its last write, `seen` past what it has read. */
export interface Demand {
  readonly own: Position
  readonly seen: Position
}

/** Why a value could not be shown to be fresh. */
export type Doubt =
  | 'no-view' // the partition's view is gone
  | 'gap' // invalidations were missed and none has been seen since
  | 'absent' // there is no value
  | 'retained' // the value was invalidated
  | 'floor' // the whole keyspace was invalidated
  | 'behind-session' // the session wrote or saw something newer
  | 'too-old' // not known to have been current recently enough

export type Verdict =
  | { readonly fresh: true; readonly position: Position; readonly ageMs: number }
  | { readonly fresh: false; readonly doubt: Doubt }

export interface Terms {
  readonly keyspace: string
  readonly contract: Pick<Contract, 'maxStalenessMs'>
  /** Added to every age: the beat was stamped by another machine's clock. */
  readonly clockSkewMs: number
  readonly demand: Demand | null
}

/**
 * Whether a cell is fresh under a view read in the same command (protocol 2, I7). Pure: the simulation and the
 * property tests run this very function.
 *
 * @param now ms since 1970 by the reader's clock
 */
export function judge(view: Known | null, cell: Omit<Cell, 'payload'> | null, terms: Terms, now: number): Verdict {
  if (view === null) return { fresh: false, doubt: 'no-view' }
  if (view.gap !== undefined) return { fresh: false, doubt: 'gap' }
  if (cell === null) return { fresh: false, doubt: 'absent' }
  if (cell.state === 'stale') return { fresh: false, doubt: 'retained' }
  if (cell.label.low < floorOf(view, terms.keyspace)) return { fresh: false, doubt: 'floor' }
  const position = maxPosition(cell.label.low, view.watermark)
  const { demand } = terms
  if (demand && !(satisfies(position, demand.own) && satisfies(position, demand.seen))) {
    return { fresh: false, doubt: 'behind-session' }
  }
  const ageMs = Math.max(0, now - Math.max(view.beat, cell.loadedAt ?? 0)) + terms.clockSkewMs
  return ageMs > terms.contract.maxStalenessMs ? { fresh: false, doubt: 'too-old' } : { fresh: true, position, ageMs }
}
