import type { Rule } from '../rule.ts'

const LUA = 'guard:commands/lease-6.lua'
const PARTITION = 'guard:commands/include/partition.lua'
const LEASED = ['guard:lease.server.test.ts']
const GRANTED = 'max(position, max(view.watermark, after(view.newest)))'

/** 6.2 */
export const LEASE: readonly Rule[] = [
  {
    section: '6.2',
    rule: 'one holder per key and region, in the cell, with a time limit',
    mutants: [
      {
        name: 'two holders',
        file: LUA,
        find: 'cell and cell.lease and cell.lease ~= ARGV[3] and cell.lease_end > now',
        replace: 'false',
        tests: LEASED,
      },
      {
        name: 'a lease without end',
        file: LUA,
        find: ' and cell.lease_end > now',
        replace: '',
        tests: LEASED,
      },
      {
        name: 'the holder who asks again is busy with himself',
        file: LUA,
        find: ' and cell.lease ~= ARGV[3]',
        replace: '',
        tests: LEASED,
      },
      {
        name: 'a lease prolongs what is retained',
        file: LUA,
        find: "if cell and cell.state ~= '-' then ttl = math.max(1, redis.call('PTTL', KEYS[6])) end",
        replace: '',
        tests: LEASED,
      },
      {
        name: 'a lease is not prolonged while its holder loads',
        file: 'refill:read/lease-renewal.ts',
        find: 'setInterval(renew, leaseMs / RENEWALS_PER_LEASE)',
        replace: 'setInterval(() => undefined, leaseMs)',
        tests: ['refill:read/flights.server.test.ts'],
        named: 'a lease is prolonged',
      },
    ],
  },
  {
    section: '6.2',
    rule: 'who does not get it waits a little, or takes the retained value',
    mutants: [
      {
        name: 'a flight does not wait for a holder',
        file: 'refill:read/refill.ts',
        find: "if (answer?.code === 'busy' && errand.mayWait && mayWait) return true",
        replace: '',
        tests: ['refill:read/flights.server.test.ts'],
        named: 'a lease is prolonged',
      },
      {
        name: 'a retained value does not spare the wait',
        file: 'refill:read/rounds.ts',
        find: 'const mayWait = (one: Case) => !this.#answers.mayServe(inquiry, asked(one))',
        replace: 'const mayWait = () => true',
        tests: ['refill:session/sessions.server.test.ts'],
        named: 'while another loads, a retained value is served at once',
      },
      {
        name: 'a retained value is served to a session that asks for more',
        file: 'refill:read/answer.ts',
        find: ' && !isBehind(cell.label.low, terms.demand)\n  }',
        replace: '\n  }',
        tests: ['refill:session/sessions.server.test.ts'],
        named: 'while another loads, a retained value is served at once',
      },
    ],
  },
  {
    section: '6.2',
    rule: 'R = max(tombstone(k) + 1, horizon, floor)',
    mutants: [
      {
        name: 'tombstone not asked',
        file: PARTITION,
        find: 'if version then position = max(position, after(version)) end',
        replace: '',
        tests: LEASED,
      },
      {
        name: 'what touches the tombstone will do',
        file: PARTITION,
        find: 'max(position, after(version))',
        replace: 'max(position, version)',
        tests: LEASED,
      },
      {
        name: 'horizon not asked',
        file: PARTITION,
        find: 'max(view.horizon, floor_of(view, keyspace))',
        replace: 'floor_of(view, keyspace)',
        tests: ['guard:tombstones.server.test.ts', 'guard:require.server.test.ts'],
      },
      {
        name: 'floor not asked by a lease',
        file: PARTITION,
        find: 'max(view.horizon, floor_of(view, keyspace))',
        replace: 'view.horizon',
        tests: LEASED,
      },
      {
        name: 'tombstones that were evicted go unnoticed',
        file: LUA,
        find: 'if notice_evicted(view) then save_view(view) end',
        replace: '',
        tests: ['guard:tombstones.server.test.ts'],
      },
      {
        name: 'the horizon does not cover N',
        file: PARTITION,
        find: 'max(view.horizon, after(view.newest))',
        replace: 'max(view.horizon, view.newest)',
        tests: ['guard:tombstones.server.test.ts'],
      },
    ],
  },
  {
    section: '6.2',
    rule: 'only the key’s own past is required of a source',
    mutants: [
      {
        name: 'the watermark is required',
        file: PARTITION,
        find: 'local position = max(view.horizon,',
        replace: 'local position = max(max(view.horizon, view.watermark),',
        tests: LEASED,
      },
      {
        name: 'granted instead of required',
        file: 'refill:sources/sources.ts',
        find: '{ required, demand }: Requirement): boolean',
        replace: '{ granted: required, demand }: Requirement): boolean',
        tests: ['refill:sources/sources.test.ts'],
      },
    ],
  },
  {
    section: '6.2',
    rule: 'G = max(W, N + 1, R), as of its granting',
    mutants: [
      {
        name: 'granted below W',
        file: LUA,
        find: GRANTED,
        replace: 'max(position, after(view.newest))',
        tests: LEASED,
      },
      {
        name: 'granted below N + 1',
        file: LUA,
        find: GRANTED,
        replace: 'max(position, max(view.watermark, view.newest))',
        tests: LEASED,
      },
      {
        name: 'granted below R',
        file: LUA,
        find: GRANTED,
        replace: 'max(view.watermark, after(view.newest))',
        tests: LEASED,
      },
    ],
  },
  {
    section: '6.2',
    rule: 'no lease without a view, or in a gap',
    mutants: [
      {
        name: 'a lease in a gap',
        file: LUA,
        find: "if view.gap then return { 'GAP' } end",
        replace: '',
        tests: LEASED,
      },
    ],
  },
  {
    section: '6.2',
    rule: 'one load of several keys requires the most that any of them does',
    mutants: [
      {
        name: 'the first key’s required for all',
        file: 'refill:read/refill.ts',
        find: '...leased.flatMap(({ answer, errand }) => [answer.required, errand.sight.bounds.required]),',
        replace: 'leased[0]!.answer.required,',
        tests: ['refill:read/many.server.test.ts'],
        named: 'I1 what is loaded together',
      },
    ],
  },
]
