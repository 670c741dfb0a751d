import type { Rule } from '../rule.ts'

const JUDGE = 'guard:freshness.ts'
const JUDGED = ['guard:freshness.test.ts']
const ROUNDS = 'refill:read/rounds.ts'

/** 6.1, and how section 2 has a hit judged. */
export const LOOK: readonly Rule[] = [
  {
    section: '6.1',
    rule: 'view and cells are read by one MGET',
    mutants: [
      {
        name: 'the view is read after the cells',
        file: 'guard:guard.ts',
        find: 'const [raw, ...cells] = await this.#redis.mgetBuffer(this.#keys.view, ...keys.map((key) => this.#keys.cell(key)))',
        replace: `const cells = await this.#redis.mgetBuffer(...keys.map((key) => this.#keys.cell(key)))
    const [raw] = await this.#redis.mgetBuffer(this.#keys.view)`,
        tests: ['refill:read/many.server.test.ts'],
        named: 'values come in the order of their keys',
      },
    ],
  },
  {
    section: '6.1',
    rule: 'in a gap nothing is fresh',
    mutants: [
      {
        name: 'gap ignored',
        file: JUDGE,
        find: "if (view.gap !== undefined) return { fresh: false, doubt: 'gap' }",
        replace: '',
        tests: JUDGED,
      },
      {
        name: 'gap without a cause ignored',
        file: JUDGE,
        find: 'if (view.gap !== undefined)',
        replace: 'if (view.gap)',
        tests: JUDGED,
      },
    ],
  },
  {
    section: '6.1',
    rule: 'what was invalidated and is retained is not fresh',
    mutants: [
      {
        name: 'retained value served as fresh',
        file: JUDGE,
        find: "if (cell.state === 'stale') return { fresh: false, doubt: 'retained' }",
        replace: '',
        tests: JUDGED,
      },
    ],
  },
  {
    section: '6.1',
    rule: 'what begins below its floor is not fresh',
    mutants: [
      {
        name: 'floor not asked by a reader',
        file: JUDGE,
        find: "if (cell.label.low < floorOf(view, terms.keyspace)) return { fresh: false, doubt: 'floor' }",
        replace: '',
        tests: JUDGED,
      },
      {
        name: 'floor compared by <=',
        file: JUDGE,
        find: 'cell.label.low < floorOf',
        replace: 'cell.label.low <= floorOf',
        tests: JUDGED,
      },
      {
        name: 'the floor of all is forgotten',
        file: 'guard:view.ts',
        find: "maxPosition(ownFloor(view, '*'), ownFloor(view, keyspace))",
        replace: 'ownFloor(view, keyspace)',
        tests: JUDGED,
      },
    ],
  },
  {
    section: '6.1',
    rule: 'a hit reaches to max(L, W), and no further',
    mutants: [
      {
        name: 'a hit is said to reach to U',
        file: JUDGE,
        find: 'maxPosition(cell.label.low, view.watermark)',
        replace: 'maxPosition(cell.label.high, view.watermark)',
        tests: JUDGED,
      },
      {
        name: 'a hit reaches to L alone',
        file: JUDGE,
        find: 'maxPosition(cell.label.low, view.watermark)',
        replace: 'cell.label.low',
        tests: JUDGED,
      },
    ],
  },
  {
    section: '6.1',
    rule: 'a session is served only what own and seen are satisfied by',
    mutants: [
      {
        name: 'own not asked of a hit',
        file: JUDGE,
        find: '(satisfies(position, demand.own) && satisfies(position, demand.seen))',
        replace: 'satisfies(position, demand.seen)',
        tests: JUDGED,
      },
      {
        name: 'seen not asked of a hit',
        file: JUDGE,
        find: '(satisfies(position, demand.own) && satisfies(position, demand.seen))',
        replace: 'satisfies(position, demand.own)',
        tests: JUDGED,
      },
      {
        name: 'session demand dropped',
        file: 'refill:read/inquiry.ts',
        find: 'session ? await session.demand(contract.session) : null',
        replace: 'null',
        tests: ['refill:read/cache.server.test.ts'],
        named: 'a session reads its own write, in another region too',
      },
    ],
  },
  {
    section: '6.1',
    rule: 'a session that is ahead of a watermark by a beat waits for it before a load',
    mutants: [
      {
        name: 'a hit that is a beat behind is loaded anew',
        file: ROUNDS,
        find: "if (one.doubt === 'behind-session' && performance.now() < inquiry.watermarkDeadline) return 'again'",
        replace: '',
        tests: ['refill:session/sessions.server.test.ts'],
        named: 'a hit that is a beat behind',
      },
    ],
  },
  {
    section: '7',
    rule: 'a hit is as old as the newer of beat and load from the primary, plus the skew',
    mutants: [
      {
        name: 'age not asked',
        file: JUDGE,
        find: 'ageMs > terms.contract.maxStalenessMs',
        replace: 'ageMs > Number.POSITIVE_INFINITY',
        tests: JUDGED,
      },
      {
        name: 'clock skew ignored',
        file: JUDGE,
        find: ' + terms.clockSkewMs',
        replace: '',
        tests: JUDGED,
      },
      {
        name: 'a beat of a clock that is ahead takes age away',
        file: JUDGE,
        find: 'Math.max(0, now - Math.max(view.beat, cell.loadedAt ?? 0))',
        replace: '(now - Math.max(view.beat, cell.loadedAt ?? 0))',
        tests: JUDGED,
      },
      {
        name: 'beat’s age ignored, where the primary gave the value long ago',
        file: JUDGE,
        find: 'Math.max(view.beat, cell.loadedAt ?? 0)',
        replace: '(cell.loadedAt ?? view.beat)',
        tests: JUDGED,
      },
      {
        name: 'a load’s age ignored',
        file: JUDGE,
        find: 'Math.max(view.beat, cell.loadedAt ?? 0)',
        replace: 'view.beat',
        tests: JUDGED,
      },
    ],
  },
  {
    section: '7',
    rule: 'what is past its time is no hit',
    mutants: [
      {
        name: 'expired served as fresh',
        file: ROUNDS,
        find: 'verdict.fresh && isExpired(cell!, this.#scope.keyspace.contract, Date.now())',
        replace: 'false',
        tests: ['refill:read/stale-if-error.server.test.ts'],
      },
      {
        name: 'that there is no row is kept as long as a row',
        file: 'refill:read/refill.ts',
        find: 'isNegative ? contract.negativeTtlMs : contract.ttlMs',
        replace: 'contract.ttlMs',
        tests: ['refill:read/contract.server.test.ts'],
        named: 'there is no such row',
      },
    ],
  },
]
