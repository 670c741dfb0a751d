import { named, shown, standing } from './postgres.ts'
import { notice, withPartition } from './region.ts'
import type { Rules, Steps } from './rules.ts'
import {
  type Cell,
  epochOf,
  type Fill,
  type Handed,
  KEYS,
  type Key,
  lsnOf,
  type Partition,
  position,
  type Server,
  type State,
  type View,
} from './state.ts'

/** A label that is not read yet, where a broken rule reads it after the rows. */
const LATER = 255

/** Apps that fill the cache, and a session that reads. */
export function* refillSteps(s: State, rules: Rules): Steps<State> {
  for (const [app, fill] of s.fills.entries()) {
    if (fill === null) yield* leaseSteps(s, app, rules)
    else yield* fillSteps(s, app, fill, rules)
  }
  for (const key of KEYS) {
    const { lease } = s.redis[key]
    if (lease && rules.may('lease expires', s.faults)) {
      yield [
        `the lease of ${named(1 << key)} expires`,
        { ...withPartition(s, key, { ...s.redis[key], lease: null }), faults: s.faults - 1 },
      ]
    }
  }
  if (rules.scope.session) yield* readSteps(s, rules)
}

function* leaseSteps(s: State, app: number, rules: Rules): Steps<State> {
  if (s.filled >= rules.scope.fills) return
  for (const key of KEYS) {
    const { view: seen, lease, cell } = s.redis[key]
    if (!seen || seen.gap || lease || (cell && cell.low >= seen.floor)) continue
    const view = notice(seen, rules)
    const required = requiredBy(view, rules)
    const granted =
      Math.max(view.watermark, view.newest + 1, required) + (rules.broken('more is granted than was visible') ? 2 : 0)
    const fill: Fill = {
      key,
      from: 'nobody',
      required,
      granted,
      step: 'leased',
      low: 0,
      high: 0,
      value: 0,
      loadedAt: 0,
      watermark: view.watermark,
      beat: view.beat,
      session: s.session,
    }
    const partition = { ...s.redis[key], view, lease: { holder: app, required } }
    yield [
      `app ${app} takes the lease of ${named(1 << key)}`,
      { ...withPartition(s, key, partition), ...filling(s, app, fill), filled: s.filled + 1 },
    ]
  }
}

function requiredBy(view: View, rules: Rules): number {
  const tombstone = rules.broken('a lease does not ask the tombstones') ? 0 : view.tombstone
  const past = rules.broken('a tombstone is not stepped over') ? 0 : 1
  const horizon = rules.broken('a lease does not ask the horizon') ? 0 : view.horizon
  const { floor } = view
  return Math.max(tombstone + past, horizon, rules.broken('a floor is a version, and stepped over') ? floor + 1 : floor)
}

function* fillSteps(s: State, app: number, fill: Fill, rules: Rules): Steps<State> {
  const next = (changed: Partial<Fill>) => ({ ...s, ...filling(s, app, { ...fill, ...changed }) })
  switch (fill.step) {
    case 'leased':
      yield* labelSteps(s, app, fill, rules)
      return
    case 'labelled': {
      const server = serverOf(s, fill)
      const value = shown(server, fill.key)
      const late = rules.broken('the label is read after the rows')
      const low = late && fill.from === 'replica' ? LATER : fill.low
      const loadedAt =
        (fill.from === 'replica' || fill.from === 'promoted') &&
        !rules.broken('a replica’s load is as recent as the primary’s')
          ? 0
          : s.acknowledged
      yield [`app ${app} reads the rows of ${named(1 << fill.key)}`, next({ step: 'read', value, loadedAt, low })]
      return
    }
    case 'read': {
      const server = serverOf(s, fill)
      if (fill.from === 'promoted' && !rules.broken('a replica that was promoted meanwhile')) {
        yield [`app ${app} finds that its replica was promoted, and drops what it read`, released(s, app, fill)]
        return
      }
      const high = highOf(server, fill, rules)
      const loadedAt = fill.loadedAt && rules.broken('a load is as recent as its end') ? s.acknowledged : fill.loadedAt
      const low = fill.low === LATER ? position(standing(server).epoch, server.says) : fill.low
      yield [`app ${app} reads where the server stands now`, next({ step: 'ready', high, low, loadedAt })]
      return
    }
    case 'ready':
      yield [`app ${app} stores ${named(1 << fill.key)}, if it may`, offered(s, app, fill, rules)]
  }
}

/** From the replica: where it stands. From a primary: what the lease granted. */
function* labelSteps(s: State, app: number, fill: Fill, rules: Rules): Steps<State> {
  const next = (from: Fill['from'], low: number) => ({
    ...s,
    ...filling(s, app, { ...fill, from, low, step: 'labelled' }),
  })
  const { replica } = s
  const epoch = rules.broken('a replica’s label is of the lease’s epoch')
    ? epochOf(fill.granted)
    : standing(replica).epoch
  const low = position(epoch, replica.says)
  if (low >= fill.required || rules.broken('a lagging replica is not refused'))
    yield [`app ${app} asks the replica where it stands`, next('replica', low)]
  for (const [from, server] of [
    ['primary', s.primary],
    ['abandoned', s.abandoned],
  ] as const) {
    if (!server) continue
    const { epoch, isAnnounced } = standing(server)
    const isOfLease =
      (epoch === epochOf(fill.granted) || rules.broken('an older primary fills')) &&
      (isAnnounced || rules.broken('an unannounced primary fills'))
    const label = rules.broken('the primary’s log is the label') ? position(epoch, server.log.length) : fill.granted
    if (isOfLease) yield [`app ${app} asks the ${from} server`, next(from, label)]
  }
}

function highOf(server: Server, fill: Fill, rules: Rules): number {
  const { epoch } = standing(server)
  if (fill.from === 'primary' || fill.from === 'abandoned')
    return Math.max(fill.low, position(epoch, server.log.length))
  const received = rules.broken('a replica’s label ends where it replayed') ? server.says : server.log.length
  return Math.max(fill.low, position(epoch, received))
}

function serverOf(s: State, { from }: Fill): Server {
  if (from === 'replica') return s.replica
  return from === 'abandoned' ? s.abandoned! : s.primary
}

function released(s: State, app: number, { key }: Fill): State {
  const { lease } = s.redis[key]
  const left = lease?.holder === app ? null : lease
  return withPartition({ ...s, ...filling(s, app, null) }, key, { ...s.redis[key], lease: left })
}

/** By compare-and-set: the lease is still ours, and the label covers what it requires by now. */
function offered(s: State, app: number, fill: Fill, rules: Rules): State {
  const done = { ...s, ...filling(s, app, null), handed: handed(s, fill, rules) }
  const partition = s.redis[fill.key]
  const { view, lease } = partition
  const isOurs = lease?.holder === app || rules.broken('a fill without its lease')
  const required = lease?.holder === app && !rules.broken('a fill does not ask again') ? lease.required : fill.required
  const released = lease?.holder === app ? null : lease
  if (!view || !isOurs || fill.low < required) return withPartition(done, fill.key, { ...partition, lease: released })
  const { low, high, value, loadedAt } = fill
  return withPartition(done, fill.key, { ...partition, lease: released, cell: { low, high, value, loadedAt } })
}

/** Judged by the view from before the lease: a newer one may cover an invalidation that came after the load. */
function handed(s: State, fill: Fill, rules: Rules): Handed | null {
  const { key, low, high, value, loadedAt, session } = fill
  const now = rules.broken('a load is judged by a newer view') ? s.redis[key].view : fill
  const position = Math.max(low, now?.watermark ?? 0)
  const isPrimary = fill.from === 'primary' || fill.from === 'abandoned'
  const epoch = standing(serverOf(s, fill)).epoch
  const isOwnThere = isPrimary && (epoch >= epochOf(session.own) || rules.broken('an older primary satisfies own'))
  const isSeenThere = isPrimary && rules.broken('the primary satisfies seen')
  if (low < fill.required && !rules.broken('a lagging replica is not refused')) return null
  if (!isOwnThere && !satisfies(position, session.own, rules)) return null
  if (!isSeenThere && !satisfies(position, session.seen, rules)) return null
  return { key, cell: { low, high, value, loadedAt }, position, beat: fill.beat | loadedAt, session }
}

/** Whether a cell is fresh under the view it was read with, and what is known of it then. */
export function judged({ view, cell }: Partition, rules: Rules): { cell: Cell; position: number; beat: number } | null {
  if (!view || view.gap || !cell) return null
  if (cell.low < view.floor && !rules.broken('the floor is not asked')) return null
  return { cell, position: Math.max(cell.low, view.watermark), beat: view.beat | cell.loadedAt }
}

/** A token is satisfied by a position that is neither of an older epoch nor of a smaller LSN. */
export function satisfies(p: number, token: number, rules: Rules): boolean {
  if (rules.broken('a token of another epoch is compared as one text')) return p >= token
  return epochOf(p) >= epochOf(token) && lsnOf(p) >= lsnOf(token)
}

export function mayRead(s: State, key: Key, rules: Rules): ReturnType<typeof judged> {
  const fresh = judged(s.redis[key], rules)
  const { own, seen } = s.session
  const isOwnThere = rules.broken('own is not asked') || (fresh !== null && satisfies(fresh.position, own, rules))
  const isSeenThere = rules.broken('seen is not asked') || (fresh !== null && satisfies(fresh.position, seen, rules))
  return fresh && isOwnThere && isSeenThere ? fresh : null
}

function* readSteps(s: State, rules: Rules): Steps<State> {
  for (const key of KEYS) {
    const read = mayRead(s, key, rules)
    if (!read) continue
    const reach = rules.broken('seen is where the label begins') ? read.cell.low : read.cell.high
    const session = { ...s.session, seen: Math.max(s.session.seen, reach), saw: s.session.saw | read.cell.value }
    if (session.seen !== s.session.seen || session.saw !== s.session.saw)
      yield [`the session reads ${named(1 << key)}`, { ...s, session }]
  }
}

function filling(s: State, app: number, fill: Fill | null): Pick<State, 'fills'> {
  return { fills: s.fills.map((one, i) => (i === app ? fill : one)) }
}
