import type { Rule } from '../rule.ts'

const SESSION_FILE = 'refill:session/session.ts'
const SESSION_TEST = ['refill:session/session.test.ts']
const TOKEN = 'refill:session/token.ts'
const TOKEN_TEST = ['refill:session/token.test.ts']
const SATISFIES =
  'return epochOf(reached) >= epochOf(wanted) && reached.slice(EPOCH_DIGITS) >= wanted.slice(EPOCH_DIGITS)'

/** 6.5 and 6.6 */
export const SESSION: readonly Rule[] = [
  {
    section: '6.5',
    rule: 'own is read after COMMIT returned, on the same server',
    mutants: [
      {
        name: 'own is read before COMMIT',
        file: SESSION_FILE,
        find: 'await this.#commit(db)\n      await this.#movePast(db)',
        replace: 'await this.#movePast(db)\n      await this.#commit(db)',
        tests: SESSION_TEST,
      },
      {
        name: 'own is what a standby replayed',
        file: SESSION_FILE,
        find: "if (standing?.role !== 'primary') {",
        replace: 'if (standing === null) {',
        tests: SESSION_TEST,
      },
      {
        name: 'a COMMIT whose answer is lost moves nothing',
        file: SESSION_FILE,
        find: 'if (!wasRefused(error)) this.#moveBeyondKnowing()',
        replace: '',
        tests: SESSION_TEST,
      },
    ],
  },
  {
    section: '6.5',
    rule: 'own and seen never go back; seen rises to U',
    mutants: [
      {
        name: 'own is the last write’s',
        file: SESSION_FILE,
        find: 'this.#own = join(this.#own, written)',
        replace: 'this.#own = written',
        tests: SESSION_TEST,
      },
      {
        name: 'seen is the last read’s',
        file: SESSION_FILE,
        find: 'this.#seen = join(this.#seen, position)',
        replace: 'this.#seen = position',
        tests: [...SESSION_TEST, 'refill:session/causality.test.ts'],
      },
      {
        name: 'a followed token’s seen is dropped',
        file: SESSION_FILE,
        find: 'this.#seen = join(this.#seen, seen)',
        replace: '',
        tests: [...SESSION_TEST, 'refill:session/causality.test.ts'],
      },
      {
        name: 'a followed token’s own is dropped',
        file: SESSION_FILE,
        find: 'this.#own = join(this.#own, own)',
        replace: '',
        tests: [...SESSION_TEST, 'refill:session/causality.test.ts'],
      },
      {
        name: 'a hit raises nothing',
        file: 'refill:read/answer.ts',
        find: 'no other source shows yet.\n    session?.saw(label.high, null)',
        replace: 'no other source shows yet.',
        tests: ['refill:session/sessions.server.test.ts'],
        named: 'what a session was handed may be as new',
      },
      {
        name: 'seen rises to L alone',
        file: 'refill:read/answer.ts',
        find: 'const reach = label?.high ??',
        replace: 'const reach = label?.low ??',
        tests: ['refill:session/sessions.server.test.ts'],
        named: 'what a session was handed may be as new',
      },
    ],
  },
  {
    section: '6.5',
    rule: 'a token is satisfied by neither an older epoch nor a smaller LSN',
    mutants: [
      {
        name: 'epoch compared as one text',
        file: 'protocol:position.ts',
        find: SATISFIES,
        replace: 'return reached >= wanted',
        tests: ['guard:freshness.test.ts', 'refill:read/judge-loaded.test.ts'],
      },
      {
        name: 'the LSN alone is compared',
        file: 'protocol:position.ts',
        find: SATISFIES,
        replace: 'return reached.slice(EPOCH_DIGITS) >= wanted.slice(EPOCH_DIGITS)',
        tests: ['guard:freshness.test.ts', 'refill:read/judge-loaded.test.ts'],
      },
      {
        name: 'positions are joined as one text',
        file: 'protocol:position.ts',
        find: 'return position(Math.max(epochOf(a), epochOf(b)), lsnA > lsnB ? lsnA : lsnB)',
        replace: 'return lsnA > lsnB ? maxPosition(a, b) : maxPosition(b, a)',
        tests: ['refill:session/session.test.ts'],
      },
    ],
  },
  {
    section: '6.5',
    rule: 'tokens are signed, for one source, and old ones refused',
    mutants: [
      {
        name: 'a forged token is believed',
        file: TOKEN,
        find: "if (!timingSafeEqual(mac(key, body, source), bytes.subarray(BODY_BYTES))) return 'forged'",
        replace: '',
        tests: TOKEN_TEST,
      },
      {
        name: 'another source’s token is believed',
        file: TOKEN,
        find: '.update(body).update(source)',
        replace: '.update(body)',
        tests: TOKEN_TEST,
      },
      {
        name: 'an old token is believed',
        file: TOKEN,
        find: "if (now - body.readUInt32BE(2) * 1000 > maxAgeMs) return 'old'",
        replace: '',
        tests: TOKEN_TEST,
      },
    ],
  },
  {
    section: '6.5',
    rule: 'tokens of another system are void, and an abandoned one voids nothing',
    mutants: [
      {
        name: 'another system’s token is believed',
        file: SESSION_FILE,
        find: 'this.#own = ORIGIN\n      this.#seen = ORIGIN',
        replace: '',
        tests: SESSION_TEST,
      },
      {
        name: 'an abandoned system voids the newer one’s token',
        file: SESSION_FILE,
        find: 'if (epoch < this.#epoch) return false',
        replace: '',
        tests: SESSION_TEST,
      },
      {
        name: 'another system’s token of the same epoch is followed',
        file: SESSION_FILE,
        find: '!(isOther && epoch === this.#epoch) && ',
        replace: '',
        tests: SESSION_TEST,
      },
    ],
  },
  {
    section: '6.6',
    rule: 'nothing loaded on a server whose timeline is not announced is cached',
    mutants: [
      {
        name: 'every timeline is announced',
        file: 'refill:sources/standing.ts',
        find: 'row.timeline === row.epoch_timeline',
        replace: 'true',
        tests: ['refill:sources/standing.test.ts'],
      },
      {
        name: 'an unannounced replica labels',
        file: 'refill:sources/labelled-load.ts',
        find: "standing?.role === 'replica' && standing.announced &&",
        replace: "standing?.role === 'replica' &&",
        tests: ['refill:sources/labelled-load.test.ts'],
      },
      {
        name: 'an unannounced primary labels',
        file: 'refill:sources/labelled-load.ts',
        find: "standing?.role === 'primary' && standing.announced",
        replace: "standing?.role === 'primary'",
        tests: ['refill:sources/labelled-load.test.ts'],
      },
      {
        name: 'the newest epoch that was met is forgotten with its view',
        file: 'refill:read/rounds.ts',
        find: 'if (sight?.view) this.#scope.host.announced.met(sight.view)',
        replace: '',
        tests: ['refill:read/cache.server.test.ts'],
        named: 'I7 a primary of an older epoch than the view',
      },
    ],
  },
  {
    section: '6.6',
    rule: 'a token taken there is stamped with the next epoch',
    mutants: [
      {
        name: 'stamped with this epoch',
        file: 'refill:sources/standing.ts',
        find: 'return announced ? at : position(epoch + 1, lsnOf(at))',
        replace: 'return at',
        tests: ['refill:sources/standing.test.ts', 'refill:session/session.test.ts'],
      },
      {
        name: 'a write there is stamped with this epoch',
        file: SESSION_FILE,
        find: 'forSession(standing, standing.position)',
        replace: 'standing.position',
        tests: SESSION_TEST,
      },
      {
        name: 'a read there is stamped with this epoch',
        file: 'refill:read/answer.ts',
        find: 'forSession(standing, standing.reach)',
        replace: 'standing.reach',
        tests: ['refill:session/sessions.server.test.ts'],
        named: 'what a session was handed by a server not announced yet',
      },
    ],
  },
]
