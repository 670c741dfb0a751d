import { shown } from './postgres.ts'
import { judged, mayRead } from './refill.ts'
import type { Rules } from './rules.ts'
import {
  type Commits,
  type Entry,
  epochOf,
  type Handed,
  KEYS,
  type Key,
  lsnOf,
  type Partition,
  position,
  type Session,
  type State,
} from './state.ts'

/** An invariant that does not hold, and how. */
export interface Breach {
  readonly invariant: 'I1' | 'I2' | 'I3' | 'I4' | 'I5' | 'I6' | 'I7' | 'session' | 'snapshot'
  readonly how: string
}

/** What must be true in each state. */
export function* ofState(s: State, rules: Rules): Generator<Breach> {
  for (const key of KEYS) {
    yield* labels(s, key)
    yield* guard(s, key)
    yield* watermark(s, key)
    yield* skipped(s, key)
    yield* fresh(s, key, s.redis[key], rules)
  }
  yield* visible(s)
  yield* snapshot(s, rules)
}

/** What must be true of each step. */
export function* ofStep(before: State, s: State, rules: Rules): Generator<Breach> {
  for (const key of KEYS) {
    yield* monotonic(before, s, key)
    const apart = { ...s.redis[key], cell: before.redis[key].cell }
    if (rules.broken('a cell is read before its view')) yield* fresh(s, key, apart, rules)
  }
  if (s.handed) yield* lacks(s, s.handed, s.handed.session)
}

interface Version {
  readonly id: number
  readonly at: number
}

/** A key's commits with their versions, in the history that an epoch belongs to. */
function historyOf({ abandoned, abandonedEpoch, shared, primary }: State, epoch: number, key: Key): Version[] {
  const isOld = abandoned !== null && epoch <= abandonedEpoch
  const { log } = isOld ? abandoned : primary
  // What was committed after a promotion and before its announcement belongs to the epoch to come.
  const branch = abandoned && !isOld ? shared : Number.POSITIVE_INFINITY
  let begun = 1
  return log.flatMap((entry: Entry, i) => {
    if (entry.epoch > 0) begun = entry.epoch
    if (!((entry.keys >> key) & 1)) return []
    return [{ id: entry.id, at: position(i >= branch ? Math.max(begun, abandonedEpoch + 1) : begun, i) }]
  })
}

const has = (commits: Commits, id: number) => ((commits >> id) & 1) === 1

function* labels(s: State, key: Key): Generator<Breach> {
  const { cell } = s.redis[key]
  if (!cell) return
  const history = historyOf(s, epochOf(cell.low), key)
  for (const { id, at } of history) {
    // Within one history the LSN alone says what is before what: an epoch may begin between a load and its label's end.
    if (lsnOf(at) < lsnOf(cell.low) && !has(cell.value, id))
      yield { invariant: 'I1', how: `the label claims commit ${id}, which the value lacks` }
    if (lsnOf(at) >= lsnOf(cell.high) && has(cell.value, id))
      yield { invariant: 'I1', how: `the label denies commit ${id}, which the value has` }
  }
  const known = history.reduce((commits, { id }) => commits | (1 << id), 0)
  if (cell.value & ~known) yield { invariant: 'I1', how: 'the value has a commit of another history' }
}

function* guard(s: State, key: Key): Generator<Breach> {
  const { cell, applied } = s.redis[key]
  if (!cell) return
  for (const { id, at } of historyOf(s, epochOf(cell.low), key)) {
    if (has(applied, id) && at >= cell.low)
      yield { invariant: 'I2', how: `commit ${id} was applied, and a value that may lack it is live` }
  }
}

function* watermark(s: State, key: Key): Generator<Breach> {
  const { view, applied } = s.redis[key]
  if (!view || view.gap) return
  for (const { id, at } of historyOf(s, epochOf(view.watermark), key)) {
    if (at < view.watermark && at >= view.floor && !has(applied, id))
      yield { invariant: 'I3', how: `the watermark covers commit ${id}, which was not applied` }
  }
}

function* skipped(s: State, key: Key): Generator<Breach> {
  const { sent, floor, told } = s.topics[key]
  for (const { id, at } of historyOf(s, epochOf(told), key)) {
    if (at < told && at >= floor && !has(sent, id))
      yield { invariant: 'I4', how: `a watermark has passed commit ${id}, whose event was never sent` }
  }
}

function* monotonic(before: State, s: State, key: Key): Generator<Breach> {
  const [was, is] = [before.redis[key], s.redis[key]]
  if (was.losses !== is.losses || !was.view || !is.view) return
  for (const part of ['watermark', 'newest', 'floor', 'horizon'] as const) {
    if (is.view[part] < was.view[part]) yield { invariant: 'I6', how: `the ${part} goes back` }
  }
}

function* fresh(s: State, key: Key, partition: Partition, rules: Rules): Generator<Breach> {
  const found = judged(partition, rules)
  if (found) yield* lacks(s, { ...found, key }, null)
  const his = found && rules.scope.session ? mayRead(s, key, rules) : null
  if (his) yield* lacks(s, { ...his, key }, s.session)
}

/** Every commit that the position covers, every one that was acknowledged by the beat, and what the session knows of. */
function* lacks(
  s: State,
  { key, cell, position, beat }: Omit<Handed, 'session'>,
  session: Session | null,
): Generator<Breach> {
  for (const { id, at } of historyOf(s, epochOf(position), key)) {
    if (has(cell.value, id)) continue
    if (at < position)
      yield { invariant: 'I7', how: `a value is fresh that lacks commit ${id}, which its position covers` }
    if (has(beat, id))
      yield { invariant: 'I7', how: `a value is fresh that lacks commit ${id}, acknowledged before its beat` }
  }
  if (!session) return
  // Whatever history the value is of: but for what a promotion has lost.
  for (const { id } of historyOf(s, Number.POSITIVE_INFINITY, key)) {
    if (has(cell.value, id)) continue
    if (has(session.wrote, id))
      yield { invariant: 'session', how: `the session is handed a value that lacks its own commit ${id}` }
    if (has(session.saw, id))
      yield { invariant: 'session', how: `the session is handed a value that lacks commit ${id}, which it has seen` }
  }
}

function* visible({ topics, primary, abandoned }: State): Generator<Breach> {
  const told = topics[0].sent | topics[1].sent
  const shownNow = shown(primary) | (abandoned ? shown(abandoned) : 0)
  if (told & ~shownNow) yield { invariant: 'I5', how: 'an event is out whose commit is not visible' }
}

function* snapshot(s: State, rules: Rules): Generator<Breach> {
  const found = KEYS.map((key) => judged(s.redis[key], rules))
  if (found.some((one) => one === null)) return
  const begins = (one: (typeof found)[number]) =>
    rules.broken('a snapshot from where labels begin') ? one!.cell.low : one!.cell.high
  const [from, to] = [Math.max(...found.map(begins)), Math.min(...found.map((one) => one!.position))]
  for (const point of new Set(from <= to ? [from, to] : [])) {
    for (const key of KEYS) {
      const held = historyOf(s, epochOf(point), key).reduce(
        (commits, { id, at }) => (at < point ? commits | (1 << id) : commits),
        0,
      )
      if (found[key]!.cell.value !== held)
        yield {
          invariant: 'snapshot',
          how: `at ${point} the database did not hold what the snapshot shows of key ${key}`,
        }
    }
  }
}
