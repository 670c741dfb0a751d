import { describe, expect, test } from '@jest/globals'
import { MAX_LSN, ORIGIN, position } from '@tidemark/protocol'
import type { StandingRow } from '../sources/standing.ts'
import { BreakingPool, RefusingPool, ScriptedPool, UnreachablePool } from '../testing/scripted-pools.ts'
import type { NewestEpoch } from './epoch-history.ts'
import { Session } from './session.ts'
import type { TokenContent } from './token.ts'

const STATEMENT = 'standing'
const PRIMARY: StandingRow = {
  recovering: false,
  insert_lsn: '0/5000',
  replay_lsn: null,
  receive_lsn: null,
  segment_bytes: '16777216',
  timeline: 1,
  epoch: 3,
  epoch_timeline: 1,
  system_identifier: '77',
  version: 180_000,
  server: 'one',
}
const at = (lsn: bigint, epoch = 3) => position(epoch, lsn)
const BEYOND = MAX_LSN

/** A session on this pool, with the token's content as it is, unsigned. */
function open(pool = standingAt(), content: Partial<TokenContent> | null = null, newest: NewestEpoch | null = null) {
  let asked = 0
  const host = {
    primary: pool,
    standingStatement: STATEMENT,
    newestEpoch: async (atLeast: number) => {
      asked = atLeast
      return newest
    },
    signToken: (signed: TokenContent) => JSON.stringify(signed),
    readToken: (token: string) => JSON.parse(token) as TokenContent,
    onUncarried: () => undefined,
  }
  const session = new Session(host, content && whole(content))
  return { session, carried: () => JSON.parse(session.token()) as TokenContent, asked: () => asked }
}

const whole = (content: Partial<TokenContent>) => ({ systemIdentifier: '77', own: ORIGIN, seen: ORIGIN, ...content })
/** A token as the sessions of these tests read it. */
const tokenOf = (content: Partial<TokenContent>) => JSON.stringify(whole(content))

function standingAt(row: Partial<StandingRow> = {}): ScriptedPool {
  return new ScriptedPool((text) => ({ rows: text === STATEMENT ? [{ ...PRIMARY, ...row }] : [] }))
}

describe('a session', () => {
  test('that neither wrote nor saw asks nothing', async () => {
    expect(await open().session.demand()).toBeNull()
  })

  test('moves past its write, to where the log ended after COMMIT', async () => {
    const pool = standingAt()
    const { session, carried } = open(pool)
    expect(await session.write(async (db) => (await db.query('insert')).rows)).toEqual([])
    expect(pool).toMatchObject({ statements: ['begin', 'insert', 'commit', STATEMENT], released: ['returned'] })
    expect(await session.demand()).toEqual({ own: at(0x5000n), seen: ORIGIN })
    expect(carried()).toEqual({ systemIdentifier: '77', own: at(0x5000n), seen: ORIGIN })
  })

  test('never moves back, and joins epoch and LSN each on its own', async () => {
    const { session } = open(standingAt({ epoch: 4 }), { own: at(0x9000n), seen: at(0x9000n) })
    await session.write(async () => undefined)
    session.saw(at(0x10n, 5), null)
    expect(await session.demand()).toEqual({ own: at(0x9000n, 4), seen: at(0x9000n, 5) })
  })

  test('that wrote on a server promoted and not announced waits for the next epoch, as when it saw something there', async () => {
    const { session } = open(standingAt({ timeline: 2 }))
    await session.write(async () => undefined)
    expect(await session.demand()).toMatchObject({ own: at(0x5000n, 4) })
  })
})

describe('a write', () => {
  test('that throws is rolled back, rethrown, and moves nothing', async () => {
    const pool = standingAt()
    const { session } = open(pool)
    await expect(session.write(() => Promise.reject(new RangeError('mine')))).rejects.toThrow(RangeError)
    expect(pool).toMatchObject({ statements: ['begin', 'rollback'], released: ['returned'] })
    expect(await session.demand()).toBeNull()
  })

  test('whose connection breaks at COMMIT may have happened: only the primary can satisfy the session now', async () => {
    const pool = new BreakingPool('commit')
    const { session } = open(pool)
    await expect(session.write(async () => undefined)).rejects.toThrow('terminated')
    expect(await session.demand()).toMatchObject({ own: at(BEYOND, 1) })
    expect(pool.released).toEqual(['destroyed'])
  })

  test.each(['23505', '40001', '40P01'])(
    'that COMMIT refuses with %s has not happened: nothing moves',
    async (code) => {
      const { session } = open(new RefusingPool('commit', code))
      await expect(session.write(async () => undefined)).rejects.toMatchObject({ code })
      expect(await session.demand()).toBeNull()
    },
  )

  test.each(['40003', '57P01', '08006'])('that ends with %s may have happened', async (code) => {
    const { session } = open(new RefusingPool('commit', code))
    await expect(session.write(async () => undefined)).rejects.toMatchObject({ code })
    expect(await session.demand()).toMatchObject({ own: at(BEYOND, 1) })
  })

  test('that is committed succeeds, though nobody can say where the log ended', async () => {
    const { session } = open(new BreakingPool(STATEMENT))
    expect(await session.write(async () => 'written')).toBe('written')
    expect(await session.demand()).toMatchObject({ own: at(BEYOND, 1) })
  })

  test.each([
    ['the publisher has recorded no epoch', { epoch: null, epoch_timeline: null, system_identifier: null }],
    ['the server says it is a standby', { recovering: true, insert_lsn: null, replay_lsn: '0/5000' }],
  ])('moves the session beyond knowing where %s', async (_, row) => {
    const { session } = open(standingAt(row))
    await session.write(async () => undefined)
    expect(await session.demand()).toMatchObject({ own: at(BEYOND, 1) })
  })

  test('on a pool that hands out nothing throws, and moves nothing: nothing was sent', async () => {
    const { session } = open(new UnreachablePool() as never)
    await expect(session.write(async () => undefined)).rejects.toMatchObject({ code: 'ECONNREFUSED' })
    expect(await session.demand()).toBeNull()
  })

  test('that swallowed a statement’s failure is told that COMMIT rolled back', async () => {
    const rolledBack = Object.assign({ rows: [] }, { command: 'ROLLBACK' })
    const { session } = open(new ScriptedPool((text) => (text === 'commit' ? rolledBack : { rows: [] })))
    await expect(session.write(async () => 'as if')).rejects.toThrow('nothing was written')
    expect(await session.demand()).toBeNull()
  })
})

describe('of another system', () => {
  const content = { systemIdentifier: '66', own: at(0x9000n), seen: at(0x8000n) }

  test('a token is void once a newer epoch of this system is known', async () => {
    const { session, asked, carried } = open(standingAt(), content, { epoch: 5, systemIdentifier: '77' })
    expect(await session.demand()).toBeNull()
    expect(asked()).toBe(3)
    expect(carried()).toEqual({ systemIdentifier: '77', own: ORIGIN, seen: ORIGIN })
  })

  test('a token is not void for a process that has yet to hear of the token’s own epoch', async () => {
    const { session } = open(standingAt(), content, { epoch: 2, systemIdentifier: '77' })
    expect(await session.demand()).toEqual({ own: content.own, seen: content.seen })
  })

  test('while nobody knows the epoch a token binds as it is', async () => {
    const { session } = open(standingAt(), content, null)
    expect(await session.demand()).toEqual({ own: content.own, seen: content.seen })
  })

  test('what an abandoned server shows voids nothing and is not joined', async () => {
    const { session } = open(standingAt(), content)
    session.saw(at(0xf000n, 2), '55')
    expect(await session.demand()).toEqual({ own: content.own, seen: content.seen })
  })

  test('what a server of a newer epoch shows voids both', async () => {
    const { session } = open(standingAt(), content)
    session.saw(at(0x100n, 4), '77')
    expect(await session.demand()).toEqual({ own: ORIGIN, seen: at(0x100n, 4) })
  })

  test('a write voids both, and is all that is asked', async () => {
    const { session } = open(standingAt({ epoch: 4, insert_lsn: '0/2100' }), content)
    await session.write(async () => undefined)
    expect(await session.demand()).toEqual({ own: at(0x2100n, 4), seen: ORIGIN })
  })
})

test('a session that knows no system yet takes on the first, and keeps what it wrote and saw', async () => {
  const { session, carried } = open(standingAt(), { systemIdentifier: '0', own: at(0x9000n), seen: at(0x8000n) })
  session.saw(at(0x100n), '77')
  expect(carried()).toEqual({ systemIdentifier: '77', own: at(0x9000n), seen: at(0x8000n) })
})

test('a session takes on the system before it reads, so that a hit is not carried elsewhere without one', async () => {
  const { session, carried } = open(standingAt(), null, { epoch: 3, systemIdentifier: '77' })
  expect(await session.demand()).toBeNull()
  session.saw(at(0x100n), null)
  expect(carried().systemIdentifier).toBe('77')
})

describe('following a token', () => {
  const A_BIT = { own: at(0x4000n), seen: at(0x3000n) }

  test('joins what its giver wrote and saw, and never takes the session back', async () => {
    const { session } = open(standingAt(), { own: at(0x9000n), seen: at(0x100n) })
    session.follow(tokenOf(A_BIT))
    expect(await session.demand()).toEqual({ own: at(0x9000n), seen: at(0x3000n) })
  })

  test('is news to whoever the session belongs to, even when it had nothing of its own', () => {
    const { session } = open()
    expect(session.hasNews).toBe(false)
    session.follow(tokenOf(A_BIT))
    expect(session.hasNews).toBe(true)
    session.token()
    expect(session.hasNews).toBe(false)
  })

  test('of another system and an older or the same epoch is following nothing', async () => {
    for (const epoch of [2, 3]) {
      const { session, carried } = open(standingAt(), { own: at(0x9000n) })
      session.follow(tokenOf({ systemIdentifier: '66', own: at(0xf000n, epoch), seen: at(0xf000n, epoch) }))
      expect(await session.demand()).toEqual({ own: at(0x9000n), seen: ORIGIN })
      expect(carried().systemIdentifier).toBe('77')
    }
  })

  test('of another system and a newer epoch voids what the session has: that is of a history that was abandoned', async () => {
    const { session } = open(standingAt(), { own: at(0x9000n) })
    session.follow(tokenOf({ systemIdentifier: '66', own: at(0x200n, 4) }))
    expect(await session.demand()).toEqual({ own: at(0x200n, 4), seen: ORIGIN })
  })

  test('of a session that knew no system binds as it is', async () => {
    const { session, carried } = open(standingAt(), { own: at(0x9000n) })
    session.follow(tokenOf({ systemIdentifier: '0', own: at(BEYOND, 1) }))
    expect((await session.demand())?.own).toBe(at(BEYOND))
    expect(carried().systemIdentifier).toBe('77')
  })

  test('that is refused moves nothing', async () => {
    const { session } = open(standingAt(), { own: at(0x9000n) })
    expect(() => session.follow('no token')).toThrow()
    expect(await session.demand()).toEqual({ own: at(0x9000n), seen: ORIGIN })
    expect(session.hasNews).toBe(false)
  })
})

describe('a keyspace that does not promise', () => {
  const content = { own: at(0x9000n), seen: at(0x8000n) }
  const asked = (readYourWrites: boolean, monotonicReads: boolean) =>
    open(standingAt(), content).session.demand({ readYourWrites, monotonicReads })

  test('that writes are read is not bound by them', async () => {
    expect(await asked(false, true)).toEqual({ own: ORIGIN, seen: content.seen })
  })

  test('monotonic reads is not bound by what was seen', async () => {
    expect(await asked(true, false)).toEqual({ own: content.own, seen: ORIGIN })
  })

  test('either asks nothing', async () => {
    expect(await asked(false, false)).toBeNull()
  })

  test('monotonic reads adds to what was seen all the same: another keyspace promises them', async () => {
    const { session } = open(standingAt(), { seen: at(0x8000n) })
    await session.demand({ readYourWrites: false, monotonicReads: false })
    session.saw(at(0xa000n), '77')
    expect(await session.demand()).toEqual({ own: ORIGIN, seen: at(0xa000n) })
  })
})
