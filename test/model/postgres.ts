import type { Rules, Steps } from './rules.ts'
import { type Commits, type Entry, position, type Server, type State } from './state.ts'

/** Entries of the log that are visible, as commits; of a key, those that touch it. */
export function shown({ log, visible }: Server, key?: number): Commits {
  return commitsOf(
    log.filter((_, i) => (visible >> i) & 1),
    key,
  )
}

export function commitsOf(log: readonly Entry[], key?: number): Commits {
  let commits = 0
  for (const { id, keys } of log) if (keys && (key === undefined || (keys >> key) & 1)) commits |= 1 << id
  return commits
}

/** The newest epoch that the server's own table shows, and whether its timeline is that epoch's. */
export function standing({ log, visible, timeline }: Server): { epoch: number; isAnnounced: boolean } {
  let epoch = 1
  let announced = 1
  for (const [i, entry] of log.entries()) {
    if (entry.epoch > epoch && (visible >> i) & 1) ({ epoch, timeline: announced } = entry)
  }
  return { epoch, isAnnounced: announced === timeline }
}

/** Writers, the primary's order of visibility, replay, promotion. */
export function* postgresSteps(s: State, rules: Rules): Steps<State> {
  const { primary, replica } = s
  if (s.commits < rules.scope.commits) {
    for (const keys of rules.scope.touches) {
      const entry = { id: s.commits, keys, epoch: 0, timeline: 0 }
      const log = [...primary.log, entry]
      yield [
        `commit ${s.commits} of ${named(keys)} is in the log`,
        { ...s, primary: { ...primary, log }, commits: s.commits + 1 },
      ]
    }
  }
  for (const [i, { id, keys }] of primary.log.entries()) {
    if ((primary.visible >> i) & 1) continue
    const visible = primary.visible | (1 << i)
    const then = {
      ...s,
      primary: { ...primary, visible },
      acknowledged: keys ? s.acknowledged | (1 << id) : s.acknowledged,
    }
    yield [
      `${keys ? `commit ${id}` : 'the row of the epoch'} becomes visible on the primary, and is acknowledged`,
      then,
    ]
    if (rules.scope.session && keys && s.session.wrote === 0) {
      yield [
        `commit ${id} becomes visible on the primary, and the session that wrote it takes its token`,
        written(then, id, rules),
      ]
    }
  }
  // After a promotion another one still follows the old primary.
  const followed = s.abandoned ?? primary
  const shows = replica.log.length
  if (shows < followed.log.length) {
    const log = followed.log.slice(0, shows + 1)
    yield [`the replica shows entry ${shows}`, { ...s, replica: { ...replica, log, visible: everything(log) } }]
  }
  if (replica.says < shows) {
    yield [`the replica's replay LSN passes entry ${shows - 1}`, { ...s, replica: { ...replica, says: shows } }]
  }
  if (!s.abandoned && rules.may('promotion', s.faults)) yield ['the replica is promoted', promoted(s)]
}

/** `own` is read after COMMIT returned, on the same server; one that is not announced stamps the next epoch. */
function written(s: State, id: number, rules: Rules): State {
  const { epoch, isAnnounced } = standing(s.primary)
  const stamped = isAnnounced || rules.broken('token of an unannounced server') ? epoch : epoch + 1
  const entries = rules.broken('own is the commit’s own LSN')
    ? s.primary.log.findIndex((e) => e.id === id && e.keys > 0)
    : s.primary.log.length
  return { ...s, session: { ...s.session, own: position(stamped, entries), wrote: 1 << id } }
}

const AFTER_PROMOTION = {
  nobody: 'nobody',
  replica: 'promoted',
  primary: 'abandoned',
  abandoned: 'abandoned',
  promoted: 'promoted',
} as const

/** What the replica lacks is lost; the old primary is still there, and what it wrote is what it shows. */
function promoted(s: State): State {
  const { log } = s.replica
  return {
    ...s,
    faults: s.faults - 1,
    abandoned: s.primary,
    abandonedEpoch: s.publisher.recorded,
    shared: log.length,
    primary: { timeline: s.primary.timeline + 1, log, visible: everything(log), says: log.length },
    publisher: { ...s.publisher, phase: 'lost' },
    // A connection outlives what its server was.
    fills: s.fills.map((fill) => fill && { ...fill, from: AFTER_PROMOTION[fill.from] }),
  }
}

function everything(log: readonly Entry[]): number {
  return (1 << log.length) - 1
}

export function named(keys: number): string {
  return keys === 3 ? 'a and b' : keys === 1 ? 'a' : 'b'
}
