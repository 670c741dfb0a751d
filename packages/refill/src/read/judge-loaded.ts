import { type Doubt, judge, type Terms, type View } from '@tidemark/guard'
import { epochOf, ORIGIN, type Position } from '@tidemark/protocol'
import { isAnnouncedPrimary, type Loaded } from '../sources/labelled-load.ts'
import { epochOfView } from './announced-epoch.ts'

/** Why a reading is not known to be fresh, or why the cell could not be used: more can be amiss than in the cell. */
export type ReadDoubt =
  | Doubt
  | 'redis-away' // Redis did not answer in time
  | 'bypass' // by contract nothing is cached
  | 'expired' // its time is over: it is kept for the failure of its load
  | 'unannounced' // the server is no primary of the history that the view knows
  | 'primary-limited' // no replica would do, and the primary has enough to do
  | 'out-of-time' // the call's time was over before anything could be shown

export type LoadVerdict =
  | { readonly fresh: true; readonly position: Position | null }
  | { readonly fresh: false; readonly doubt: ReadDoubt }

/** What a load is judged by beside the view. */
export interface LoadTerms extends Terms {
  /** The newest epoch that the region was ever seen to know: the view in hand may be gone, or have a gap. */
  readonly announcedEpoch: number
}

/**
 * Whether a value that was just loaded is fresh under the view in hand (protocol 6.3, I7). Pure.
 *
 * With a label it is judged as if it were the cell, except that the primary satisfies `own` by itself when its epoch
 * is not older. Without one it must come from an announced primary of an epoch not older than the region's: it is
 * current then, but nobody can say what the session has *seen* that the primary does not show yet.
 */
export function judgeLoaded(view: View | null, loaded: Loaded<unknown>, terms: LoadTerms, now: number): LoadVerdict {
  const { label, loadedAt, standing } = loaded
  const announced = isAnnouncedPrimary(standing)
  const ownIsThere = terms.demand === null || (announced && standing.epoch >= epochOf(terms.demand.own))
  if (label !== null) {
    const demand = terms.demand && ownIsThere ? { ...terms.demand, own: ORIGIN } : terms.demand
    const cell = { state: 'live', label, loadedAt, payload: NO_PAYLOAD } as const
    const verdict = judge(view, cell, { ...terms, demand }, now)
    return verdict.fresh ? { fresh: true, position: verdict.position } : verdict
  }
  if (!announced || standing.epoch < Math.max(terms.announcedEpoch, view === null ? 0 : epochOfView(view))) {
    return { fresh: false, doubt: 'unannounced' }
  }
  // Its age is the load's own, by this machine's clock: no skew to allow for.
  if (loadedAt === null || now - loadedAt > terms.contract.maxStalenessMs) return { fresh: false, doubt: 'too-old' }
  const seenNothing = terms.demand === null || terms.demand.seen === ORIGIN
  return ownIsThere && seenNothing ? { fresh: true, position: null } : { fresh: false, doubt: 'behind-session' }
}

/**
 * Whether a value that another reader's flight brought is fresh for one who joined it (I7). Pure. Three things differ:
 *
 * - The view must be the flight's, read before its lease. A newer one may cover an invalidation that came after the load.
 * - The load may have begun before the session's write: the primary satisfies `own` no more by itself, and without a
 *   label nothing is known.
 * - Who joined may know a newer epoch than the server that answered.
 */
export function judgeJoined(view: View | null, loaded: Loaded<unknown>, terms: LoadTerms, now: number): LoadVerdict {
  const { label, standing } = loaded
  if (standing === null || standing.epoch < terms.announcedEpoch) return { fresh: false, doubt: 'unannounced' }
  if (label === null) {
    return terms.demand === null ? judgeLoaded(view, loaded, terms, now) : { fresh: false, doubt: 'behind-session' }
  }
  const cell = { state: 'live', label, loadedAt: loaded.loadedAt, payload: NO_PAYLOAD } as const
  const verdict = judge(view, cell, terms, now)
  return verdict.fresh ? { fresh: true, position: verdict.position } : verdict
}

const NO_PAYLOAD = Buffer.alloc(0)
