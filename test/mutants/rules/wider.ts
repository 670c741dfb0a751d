import type { Rule } from '../rule.ts'

const JUDGE = 'refill:read/judge-loaded.ts'
const JUDGED = ['refill:read/judge-loaded.test.ts']
const JOINED_LATE = ['refill:read/flights.server.test.ts']
const MISSED_WRITE = 'I7 a flight is judged by what was known when it began'
const NARROW = 'refill:dependencies/effective-view.ts'
const NARROWED = ['refill:dependencies/effective-view.test.ts']
const CHOICE = 'refill:snapshot/snapshot-choice.ts'
const CHOSEN = ['refill:snapshot/snapshot-choice.test.ts']
const COPIES = 'refill:memory/copies.ts'
const COPIED = ['refill:memory/copies.test.ts']

/** What follows from sections 2 and 6 where one load serves many, one value is of many keys, and memory stands before Redis. */
export const WIDER: readonly Rule[] = [
  {
    section: '6.3',
    rule: 'what a flight brings is judged by what was known when it began',
    mutants: [
      {
        name: 'joined flight judged by the joiner’s view',
        file: 'refill:read/rounds.ts',
        find: 'judgeIt(view, loaded, terms, Date.now())',
        replace: 'judgeIt(judgeIt === judgeJoined ? one.sight.view : view, loaded, terms, Date.now())',
        tests: JOINED_LATE,
        named: MISSED_WRITE,
      },
      {
        name: 'watermark from a newer view',
        file: 'refill:read/refill.ts',
        find: 'await Promise.all([stored, this.#viewWith(sight, dependencies)])',
        replace: 'await Promise.all([stored, wanted.guard.view()])',
        tests: JOINED_LATE,
        named: MISSED_WRITE,
      },
      {
        name: 'own of a joiner satisfied by the primary',
        file: JUDGE,
        find: 'judge(view, cell, terms, now)',
        replace: 'judge(view, cell, { ...terms, demand: terms.demand && { ...terms.demand, own: ORIGIN } }, now)',
        tests: ['refill:read/flights.test.ts'],
      },
      {
        name: 'an unlabelled flight serves a session that joined',
        file: JUDGE,
        find: 'return terms.demand === null ? judgeLoaded',
        replace: 'return terms !== null ? judgeLoaded',
        tests: ['refill:read/flights.test.ts'],
      },
      {
        name: 'a session joins a load without a lease that began before it came',
        file: 'refill:read/bare-loads.ts',
        find: 'if (underWay && terms.demand === null)',
        replace: 'if (underWay)',
        tests: ['refill:read/bare-loads.test.ts'],
      },
      {
        name: 'the next load without a lease begins beside the one under way',
        file: 'refill:read/bare-loads.ts',
        find: 'await Promise.all(after.map((flight) => flight.hasLanded))',
        replace: 'await Promise.resolve(after)',
        tests: ['refill:read/bare-loads.test.ts'],
      },
      {
        name: 'a joiner who knows a newer epoch believes an older one’s load',
        file: JUDGE,
        find: 'if (standing === null || standing.epoch < terms.announcedEpoch)',
        replace: 'if (standing === null)',
        tests: JUDGED,
      },
    ],
  },
  {
    section: '2',
    rule: 'a value is exact over [U, max(L, W)]',
    mutants: [
      {
        name: 'exact from L on',
        file: CHOICE,
        find: '{ low: high, high: end }',
        replace: '{ low, high: end }',
        tests: CHOSEN,
      },
      {
        name: 'exact before the watermark has reached U',
        file: CHOICE,
        find: 'high <= end ?',
        replace: 'end >= low ?',
        tests: CHOSEN,
      },
      {
        name: 'exact to U',
        file: CHOICE,
        find: 'const end = maxPosition(low, view.watermark)',
        replace: 'const end = maxPosition(high, view.watermark)',
        tests: CHOSEN,
      },
      {
        name: 'cells that share no point are a snapshot',
        file: CHOICE,
        find: 'interval.low <= point && point <= interval.high',
        replace: 'interval.low <= point',
        tests: CHOSEN,
      },
      {
        name: 'keys of a snapshot are loaded in several snapshots',
        file: 'refill:snapshot/load-together.ts',
        find: "isolation: 'snapshot'",
        replace: "isolation: 'statements'",
        tests: ['test/src/snapshots.test.ts'],
        named: 'sums over accounts',
      },
      {
        name: 'what may hold more than a load is kept beside it',
        file: CHOICE,
        find: "if (kept.high > loaded.low) return 'never'",
        replace: '',
        tests: CHOSEN,
      },
      {
        name: 'what may lack what a load holds is kept beside it',
        file: CHOICE,
        find: '>= loaded.high ?',
        replace: '>= loaded.low ?',
        tests: CHOSEN,
      },
    ],
  },
  {
    section: '2',
    rule: 'a value of several keys is judged by all of their partitions',
    mutants: [
      {
        name: 'dependency’s partition left out',
        file: NARROW,
        find: 'return answers.reduce<View | null>((narrowed, answer) => narrowed && narrow(narrowed, answer, keyspace), view)',
        replace: 'return view',
        tests: NARROWED,
      },
      {
        name: 'a cell is judged by the view of its own partition',
        file: 'refill:dependencies/dependency-look.ts',
        find: 'view: effectiveView(sight.view, known, scope.keyspace.name),',
        replace: 'view: sight.view,',
        tests: ['refill:snapshot/snapshot-truth.test.ts'],
      },
      {
        name: 'what a dependency requires is not required of a load',
        file: 'refill:read/refill.ts',
        find: '[answer.required, errand.sight.bounds.required]',
        replace: '[answer.required]',
        tests: ['test/src/dependencies.test.ts'],
      },
      {
        name: 'watermark of the value’s own partition',
        file: NARROW,
        find: 'watermark: view.watermark < other.watermark ? view.watermark : other.watermark,',
        replace: '',
        tests: NARROWED,
      },
      {
        name: 'beat of the value’s own partition',
        file: NARROW,
        find: 'beat: Math.min(view.beat, other.beat),',
        replace: '',
        tests: NARROWED,
      },
      {
        name: 'what a dependency requires is not asked',
        file: NARROW,
        find: 'maxPosition(floorOf(view, keyspace), ...answer.required)',
        replace: 'floorOf(view, keyspace)',
        tests: NARROWED,
      },
      {
        name: 'a dependency’s gap ignored',
        file: NARROW,
        find: "if (answer.code === 'gap') return { ...view, gap: view.gap ?? 'of a dependency' }",
        replace: "if (answer.code === 'gap') return view",
        tests: NARROWED,
      },
      {
        name: 'what a dependency’s view shows is not granted',
        file: NARROW,
        find: 'return { required, granted: maxPosition(required, ...shown) }',
        replace: 'return { required, granted: required }',
        tests: NARROWED,
      },
    ],
  },
  {
    section: '2',
    rule: 'in-process copies follow the four rules of the feed',
    mutants: [
      {
        name: 'feed rule 1: a read is not remembered from before it begins',
        file: COPIES,
        find: 'lane.turn !== turn || ',
        replace: '',
        tests: ['refill:memory/memory.server.test.ts'],
        named: 'I2 what was read before a repair',
      },
      {
        name: 'feed rule 2: told keys are kept',
        file: COPIES,
        find: 'for (const key of keys) this.#held.delete(key)',
        replace: '',
        tests: COPIED,
      },
      {
        name: 'feed rule 2: reads under way are not forgotten',
        file: COPIES,
        find: 'if (keys.length > 0 || floors) lane.turn++',
        replace: '',
        tests: ['refill:memory/memory.server.test.ts'],
        named: 'I2 what was read before a repair',
      },
      {
        name: 'feed rule 2: a floor takes nothing',
        file: COPIES,
        find: 'if (floors) this.#sink(lane, floors)',
        replace: '',
        tests: COPIED,
      },
      {
        name: 'feed rule 2: a loss takes nothing',
        file: COPIES,
        find: 'for (const key of lane.keys) this.#held.delete(key)\n    if (wasHeard)',
        replace: 'if (wasHeard)',
        tests: COPIED,
      },
      {
        name: 'feed rule 3: a view behind the feed will do',
        file: COPIES,
        find: ' || !mayKeep(partition, view)',
        replace: '',
        tests: COPIED,
      },
      {
        name: 'feed rule 3: what is not live is kept',
        file: COPIES,
        find: " || cell?.state !== 'live'",
        replace: '',
        tests: ['refill:memory/copy.test.ts'],
      },
      {
        name: 'feed rule 3: what is below its floor is kept',
        file: COPIES,
        find: 'if (cell.label.low < floorOf(view!, copy.keyspace)) return',
        replace: '',
        tests: COPIED,
      },
      {
        name: 'feed rule 4: judged by the view of the read',
        file: COPIES,
        find: 'this.#held.set(key, { copy, lane })',
        replace: 'this.#held.set(key, { copy, lane })\n    lane.known = view',
        tests: COPIED,
      },
      {
        name: 'a hole in the feed goes unnoticed',
        file: 'guard:partition-feed.ts',
        find: "if (message.from > last.next) return 'hole'",
        replace: '',
        tests: ['guard:partition-feed.test.ts'],
      },
    ],
  },
  {
    section: '7',
    rule: 'what is asked of another region for a third is not asked further',
    mutants: [
      {
        name: 'route looping',
        file: 'refill:read/inquiry.ts',
        find: "return asked === 'route' && !mayRoute ? 'fail' : asked",
        replace: 'return asked',
        tests: ['refill:read/route.server.test.ts'],
      },
    ],
  },
]
