import { commitsOf, named } from './postgres.ts'
import type { Rules, Steps } from './rules.ts'
import { type Entry, KEYS, type Key, type Publisher, position, type State, type Stored, type Topic } from './state.ts'

/** Partitions to which a crash lets something through: none, one, the other. All is the step without a crash. */
const CUT_OFF = [[], [0], [1]] as const

/** Streams the log in order, publishes, confirms; opens an epoch when its stream cannot be shown to continue. */
export function* publisherSteps(s: State, rules: Rules): Steps<State> {
  const { publisher } = s
  if (publisher.phase !== 'streaming') return yield* openingSteps(s, rules)
  yield* eventSteps(s, rules)
  yield* watermarkSteps(s, rules)
  yield* confirmSteps(s, rules)
  if (rules.may('publisher crashes', s.faults))
    yield ['the publisher crashes, and streams from what it confirmed', crashed(s)]
  if (rules.may('slot lost', s.faults)) {
    const phase = rules.broken('a lost slot is no new epoch') ? 'streaming' : 'lost'
    const anew = { ...publisher, phase, next: s.primary.log.length, confirmed: s.primary.log.length } as const
    yield ['the slot is lost', { ...s, faults: s.faults - 1, publisher: anew }]
  }
}

function* eventSteps(s: State, rules: Rules): Steps<State> {
  const { publisher, primary } = s
  const [entry, isVisible] = [primary.log[publisher.next], (primary.visible >> publisher.next) & 1]
  if (entry && !isVisible && rules.broken('a later commit overtakes')) yield* overtaking(s, rules)
  if (!entry || !(isVisible || rules.broken('told before visible'))) return
  const sent = (keys: readonly Key[]) =>
    keys.reduce((now, key) => ((entry.keys >> key) & 1 ? stored(now, [key], eventOf(s, entry, key, rules)) : now), s)
  const then = { ...publisher, next: publisher.next + 1 }
  yield [`the publisher sends commit ${entry.id} of ${named(entry.keys)}`, { ...sent(KEYS), publisher: then }]
  if (entry.keys === 3 && rules.may('publisher crashes', s.faults)) {
    for (const key of KEYS)
      yield [`the publisher sends commit ${entry.id} of ${named(1 << key)} alone, and crashes`, crashed(sent([key]))]
  }
}

function* overtaking(s: State, rules: Rules): Steps<State> {
  const ahead = { ...s, publisher: { ...s.publisher, next: s.publisher.next + 1 } }
  const entry = s.primary.log[ahead.publisher.next]
  if (!entry || !((s.primary.visible >> ahead.publisher.next) & 1)) return
  for (const key of KEYS) {
    if ((entry.keys >> key) & 1)
      yield [
        `the publisher sends commit ${entry.id} of ${named(1 << key)} first`,
        stored(s, [key], eventOf(ahead, entry, key, rules)),
      ]
  }
}

function eventOf({ publisher, primary }: State, { id }: Entry, key: Key, rules: Rules): Stored {
  const at = position(publisher.epoch, publisher.next) + (rules.broken('the version is the one before') ? -2 : 0)
  return { type: 'event', at, id, row: commitsOf(primary.log.slice(0, publisher.next + 1), key) }
}

/** One follows, in each partition, all events that it covers; a beat is of a time when nothing was ahead of it. */
function* watermarkSteps(s: State, rules: Rules): Steps<State> {
  const { publisher, acknowledged } = s
  const ahead = rules.broken('a watermark ahead of its events') ? 1 : 0
  const at = position(publisher.epoch, Math.min(publisher.next + ahead, s.primary.log.length))
  const isCurrent = (acknowledged & ~commitsOf(s.primary.log.slice(0, publisher.next))) === 0
  const beat = isCurrent || rules.broken('a beat while behind') ? acknowledged : publisher.beat
  // The steady beat: of what is told already it matters to a gap alone.
  const isAwaited = s.redis.some(({ view }, p) => view?.gap && view.next === end(s.topics[p]!))
  if (at === publisher.told && beat === publisher.beat && !isAwaited) return
  const record = { type: 'watermark', at, beat } as const
  const then = { ...s, publisher: { ...publisher, told: at, beat } }
  yield ['the publisher sends a watermark', stored(then, KEYS, record)]
  if (!rules.may('publisher crashes', s.faults)) return
  for (const key of KEYS)
    yield [
      `the publisher sends a watermark to the partition of ${named(1 << key)} alone, and crashes`,
      crashed(stored(then, [key], record)),
    ]
}

/** What has been sent, not what was received: its end, not a byte more. */
function* confirmSteps(s: State, rules: Rules): Steps<State> {
  const { publisher, primary } = s
  const received = rules.broken('what was received is confirmed')
  const more = rules.broken('end + 1 is confirmed') && publisher.next > publisher.confirmed ? 1 : 0
  const confirmed = received ? primary.log.length : Math.max(publisher.confirmed, publisher.next + more)
  if (confirmed > publisher.confirmed)
    yield ['the publisher confirms', { ...s, publisher: { ...publisher, confirmed } }]
}

function* openingSteps(s: State, rules: Rules): Steps<State> {
  const { publisher, primary } = s
  if (publisher.phase === 'lost') {
    const epoch = (rules.broken('a number is chosen twice') ? publisher.epoch : publisher.recorded) + 1
    const start = primary.log.length
    const row = { id: 0, keys: 0, epoch, timeline: primary.timeline }
    const then = {
      ...publisher,
      recorded: Math.max(epoch, publisher.recorded),
      phase: 'recorded',
      next: start,
      confirmed: start,
    } as const
    yield [
      `the publisher records epoch ${epoch}`,
      { ...s, primary: { ...primary, log: [...primary.log, row] }, publisher: then },
    ]
    return
  }
  const { epoch } = primary.log[publisher.next]!
  const running = ~primary.visible & ((2 << publisher.next) - 1)
  if (running && !rules.broken('an epoch before what was running is visible')) return
  const floor = { type: 'floor', at: position(epoch, publisher.next) } as const
  const open = {
    ...s,
    publisher: { ...publisher, phase: 'streaming', epoch, next: publisher.next + 1, told: floor.at } as Publisher,
  }
  const partitions = rules.broken('no floor for a new epoch')
    ? []
    : rules.broken('the floor in one partition')
      ? [0]
      : KEYS
  yield [`the publisher announces epoch ${epoch} by a floor`, stored(open, partitions, floor)]
  if (!rules.may('publisher crashes', s.faults)) return
  for (const cut of CUT_OFF) {
    yield [
      `the publisher announces epoch ${epoch} to ${cut.length} partitions, and crashes`,
      { ...stored(s, cut, floor), faults: s.faults - 1 },
    ]
  }
}

function crashed(s: State): State {
  return { ...s, faults: s.faults - 1, publisher: { ...s.publisher, next: s.publisher.confirmed, told: 0, beat: 0 } }
}

function stored(s: State, keys: readonly number[], record: Stored): State {
  const topics = s.topics.map((topic, p) => (keys.includes(p) ? withRecord(topic, record) : topic))
  return { ...s, topics: topics as unknown as State['topics'] }
}

function withRecord(topic: Topic, record: Stored): Topic {
  const records = [...topic.records, record]
  switch (record.type) {
    case 'event':
      return { ...topic, records, sent: topic.sent | (1 << record.id) }
    case 'watermark':
      return { ...topic, records, told: Math.max(topic.told, record.at) }
    case 'floor':
      return { ...topic, records, floor: Math.max(topic.floor, record.at) }
  }
}

export function end({ base, records }: Topic): number {
  return base + records.length
}
