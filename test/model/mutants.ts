import type { Breach } from './claims.ts'
import type { BriefScope } from './scopes.ts'

interface Mutant {
  /** Where protocol.md says the rule. */
  readonly section: string
  readonly scope: BriefScope
  readonly breaks: Breach['invariant']
}

/** Each rule of the protocol, broken: in which world, and which claim does not hold then. */
export const MUTANTS = {
  'a beat while behind': { section: '3.3', scope: 'update', breaks: 'I7' },
  'a cell is read before its view': { section: '4, 6.1', scope: 'update', breaks: 'I7' },
  'a dropped generation leaves the horizon': { section: '5.4', scope: 'crashes', breaks: 'I2' },
  'a fill does not ask again': { section: '6.4', scope: 'update', breaks: 'I2' },
  'a fill without its lease': { section: '6.4', scope: 'two apps', breaks: 'I2' },
  'a floor is a version, and stepped over': { section: '6.2', scope: 'two apps', breaks: 'I7' },
  'a gap is a silent reset': { section: '4', scope: 'two apps', breaks: 'I3' },
  'a hole is jumped': { section: '5.2', scope: 'crashes', breaks: 'I3' },
  'a label that ends at the version is kept': { section: '5.1', scope: 'update', breaks: 'I2' },
  'a lagging replica is not refused': { section: '6.3', scope: 'update', breaks: 'I7' },
  'a later commit overtakes': { section: '3.2', scope: 'update', breaks: 'I3' },
  'a lease does not ask the horizon': { section: '6.2', scope: 'two apps', breaks: 'I2' },
  'a lease does not ask the tombstones': { section: '6.2', scope: 'update', breaks: 'I2' },
  'a lease is not told': { section: '5.1', scope: 'update', breaks: 'I2' },
  'a load is as recent as its end': { section: '7', scope: 'update', breaks: 'I7' },
  'a load is judged by a newer view': { section: '6.2', scope: 'update', breaks: 'I7' },
  'a lost generation leaves the horizon': { section: '4', scope: 'two apps', breaks: 'I2' },
  'a lost slot is no new epoch': { section: '3.6', scope: 'session over a promotion', breaks: 'I4' },
  'a number is chosen twice': { section: '3.6', scope: 'two epochs', breaks: 'I4' },
  'a replica that was promoted meanwhile': { section: '6.3', scope: 'session over a promotion', breaks: 'I1' },
  'a replica’s label ends where it replayed': { section: '6.3', scope: 'update', breaks: 'I1' },
  'a replica’s label is of the lease’s epoch': { section: '6.3', scope: 'session over a promotion', breaks: 'I1' },
  'a replica’s load is as recent as the primary’s': { section: '7', scope: 'update', breaks: 'I7' },
  'a snapshot from where labels begin': { section: '2', scope: 'session', breaks: 'snapshot' },
  'a token of another epoch is compared as one text': {
    section: '6.5',
    scope: 'session over a promotion',
    breaks: 'session',
  },
  'a tombstone is not stepped over': { section: '6.2', scope: 'update', breaks: 'I2' },
  'a watermark ahead of its events': { section: '3.3', scope: 'update', breaks: 'I4' },
  'a watermark is set, not raised': { section: '5.2', scope: 'two commits', breaks: 'I6' },
  'a watermark outlives its Redis': { section: '4', scope: 'crashes', breaks: 'I3' },
  'an epoch before what was running is visible': { section: '3.6', scope: 'session over a promotion', breaks: 'I7' },
  'an older primary fills': { section: '6.3', scope: 'session over a promotion', breaks: 'I7' },
  'an older primary satisfies own': { section: '6.3', scope: 'session over a promotion', breaks: 'session' },
  'an unannounced primary fills': { section: '6.6', scope: 'session over a promotion', breaks: 'I7' },
  'end + 1 is confirmed': { section: '3.4', scope: 'two commits', breaks: 'I4' },
  'more is granted than was visible': { section: '6.2', scope: 'update', breaks: 'I7' },
  'no floor for a new epoch': { section: '3.6', scope: 'session over a promotion', breaks: 'I4' },
  'no tombstone for an absent key': { section: '5.1', scope: 'update', breaks: 'I2' },
  'own is not asked': { section: '2', scope: 'session', breaks: 'session' },
  'own is the commit’s own LSN': { section: '6.5', scope: 'session', breaks: 'session' },
  'seen is not asked': { section: '2', scope: 'session', breaks: 'session' },
  'seen is where the label begins': { section: '2', scope: 'session', breaks: 'session' },
  'the floor in one partition': { section: '3.6', scope: 'epochs', breaks: 'I4' },
  'the floor is not asked': { section: '2', scope: 'two apps', breaks: 'I7' },
  'the horizon ends at the newest': { section: '4', scope: 'two apps', breaks: 'I2' },
  'the label is read after the rows': { section: '6.3', scope: 'update', breaks: 'I7' },
  'the primary satisfies seen': { section: '6.3', scope: 'session', breaks: 'session' },
  'the primary’s log is the label': { section: '6.3', scope: 'update', breaks: 'I7' },
  'the version is the one before': { section: '3.1', scope: 'update', breaks: 'I3' },
  'token of an unannounced server': { section: '6.6', scope: 'session over a promotion', breaks: 'session' },
  'told before visible': { section: '3.2', scope: 'update', breaks: 'I5' },
  'what was invalidated stays live': { section: '5.1', scope: 'update', breaks: 'I2' },
  'what was received is confirmed': { section: '3.4', scope: 'two commits', breaks: 'I4' },
} as const satisfies Record<string, Mutant>

export type MutantName = keyof typeof MUTANTS
