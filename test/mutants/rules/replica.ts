import type { Rule } from '../rule.ts'

const LOAD = 'refill:sources/labelled-load.ts'
const LABELLED = ['refill:sources/labelled-load.test.ts']
const SOURCES = 'refill:sources/sources.ts'
const ASKED = ['refill:sources/sources.test.ts']
const TRUTH = ['refill:read/label-truth.test.ts']
const ENOUGH = '(satisfies(position, demand.own) && satisfies(position, demand.seen))'

/** 6.3, of a replica */
export const REPLICA: readonly Rule[] = [
  {
    section: '6.3',
    rule: 'a replica’s L is read before the snapshot that reads the rows',
    mutants: [
      {
        name: 'L is read after the rows',
        file: LOAD,
        find: 'const label = { low: before.position,',
        replace: 'const label = { low: after.position,',
        tests: TRUTH,
      },
      {
        name: 'one snapshot for L and rows',
        file: LOAD,
        find: '[BEGIN, statement]',
        replace: '[BEGIN_SNAPSHOT, statement]',
        tests: TRUTH,
      },
      {
        name: 'a load of one snapshot takes it before L',
        file: LOAD,
        find: "['select 1', statement]",
        replace: '[BEGIN_SNAPSHOT, statement]',
        tests: TRUTH,
      },
    ],
  },
  {
    section: '6.3',
    rule: 'a replica’s U is the larger of replay and receive LSN, read after the rows',
    mutants: [
      {
        name: 'a replica’s U is read before the rows',
        file: LOAD,
        find: 'high: after.reach }\n      return',
        replace: 'high: before.reach }\n      return',
        tests: TRUTH,
      },
      {
        name: 'U without what was received',
        file: 'refill:sources/standing.ts',
        find: 'reach: received > here ? received : here',
        replace: 'reach: here',
        tests: TRUTH,
      },
      {
        name: 'U without what was replayed from an archive',
        file: 'refill:sources/standing.ts',
        find: 'reach: received > here ? received : here',
        replace: 'reach: received',
        tests: ['refill:sources/standing.test.ts'],
      },
      {
        name: 'a replica that cannot say what it received will do',
        file: 'refill:sources/standing.ts',
        find: 'reach: null }',
        replace: 'reach: here }',
        tests: LABELLED,
      },
    ],
  },
  {
    section: '6.3',
    rule: 'label and rows are of one server',
    mutants: [
      {
        name: 'no transaction around the statements',
        file: LOAD,
        find: "const BEGIN = 'begin isolation level read committed read only'",
        replace: "const BEGIN = 'select 1'",
        tests: LABELLED,
      },
      {
        name: 'a load of one snapshot may be another server’s than its label',
        file: LOAD,
        find: ' || after.server !== before.server',
        replace: '',
        tests: LABELLED,
      },
      {
        name: 'a replica that was promoted while it loaded will do',
        file: LOAD,
        find: '!isFit(after) || ',
        replace: '',
        tests: LABELLED,
      },
    ],
  },
  {
    section: '6.3',
    rule: 'a replica behind R or the session’s token is lagging',
    mutants: [
      {
        name: 'R not asked of a replica',
        file: SOURCES,
        find: 'position >= required && ',
        replace: '',
        tests: ASKED,
      },
      {
        name: 'R itself is not enough',
        file: SOURCES,
        find: 'position >= required && ',
        replace: 'position > required && ',
        tests: ASKED,
      },
      {
        name: 'own not asked of a replica',
        file: SOURCES,
        find: ENOUGH,
        replace: 'satisfies(position, demand.seen)',
        tests: ASKED,
      },
      {
        name: 'seen not asked of a replica',
        file: SOURCES,
        find: ENOUGH,
        replace: 'satisfies(position, demand.own)',
        tests: ASKED,
      },
      {
        name: 'a replica’s epoch and LSN compared as one text',
        file: SOURCES,
        find: ENOUGH,
        replace: '(position >= demand.own && position >= demand.seen)',
        tests: ASKED,
      },
    ],
  },
  {
    section: '6.3',
    rule: 'a lagging replica is waited for within a budget, then another asked, then the primary; each refusal is counted',
    mutants: [
      {
        name: 'no replica is waited for',
        file: SOURCES,
        find: 'if (leftMs <= 0) return false',
        replace: 'return false',
        tests: ASKED,
      },
      {
        name: 'the wait is longer than its budget',
        file: SOURCES,
        find: 'const leftMs = waitUntil - performance.now()',
        replace: 'const leftMs = waitUntil + 700 - performance.now()',
        tests: ASKED,
      },
      {
        name: 'no other replica is tried',
        file: SOURCES,
        find: 'inOrder(known, (at) => isEnough(at, order.need), performance.now())',
        replace: 'inOrder(known, (at) => isEnough(at, order.need), performance.now()).slice(0, 1)',
        tests: ASKED,
      },
      {
        name: 'the primary is not asked when no replica will do',
        file: SOURCES,
        find: 'this.loadFromPrimary(keyspace, load, need.granted, options)',
        replace: "Promise.reject(new Error('no replica will do'))",
        tests: ASKED,
      },
      {
        name: 'a lagging replica is not counted',
        file: SOURCES,
        find: "if (!refused) this.#tell({ event: 'replicaLagging', keyspace, replica, lagBytes })",
        replace: '',
        tests: ASKED,
      },
    ],
  },
  {
    section: '6.3',
    rule: 'the epoch of a label is the newest in the server’s own table',
    mutants: [
      {
        name: 'the oldest epoch of the table counts',
        file: 'refill:sources/standing.ts',
        find: 'order by epoch desc',
        replace: 'order by epoch',
        tests: ['refill:sources/standing.server.test.ts'],
      },
      {
        name: 'another source’s epoch counts',
        file: 'refill:sources/standing.ts',
        find: "' and start_lsn is not null",
        replace: "' or start_lsn is not null",
        tests: ['refill:sources/standing.server.test.ts'],
      },
    ],
  },
  {
    section: '7',
    rule: 'a load from a replica says nothing about age',
    mutants: [
      {
        name: 'replicas are asked under a beat that is too old',
        file: SOURCES,
        find: '(replicasMayServe && (await this.#fromReplicas(order)))',
        replace: '(await this.#fromReplicas(order))',
        tests: ASKED,
      },
      {
        name: 'a replica’s load is as new as its loading',
        file: LOAD,
        find: 'value: value as Value, label, loadedAt: null, standing: after',
        replace: 'value: value as Value, label, loadedAt: Date.now(), standing: after',
        tests: LABELLED,
      },
    ],
  },
]
