import { expect, test } from '@jest/globals'
import { connect, disconnect } from '@tidemark/postgres'
import type { Client } from 'pg'
import { PRODUCTS } from './testing/products.ts'
import { PublisherContext } from './testing/publisher-context.ts'
import { endTurn, waitForTurn } from './turn.ts'

async function openTurns() {
  const ctx = await PublisherContext.open()
  const ending = new AbortController()
  const wait = (client: Client, maxIdleMs = 60_000, onStandby = () => undefined as unknown) =>
    waitForTurn({
      ...{ client, source: ctx.source(PRODUCTS), signal: ending.signal, previousBackend: undefined },
      ...{ maxIdleMs, onStandby },
    })
  const session = async () => {
    const client = await connect(ctx.url, 'test', () => undefined)
    return Object.assign(client, { [Symbol.asyncDispose]: () => disconnect(client) })
  }
  return { ctx, wait, session, ending }
}

test('one at a time: a second waits until the first has given its turn back, and is told each time that it waits', async () => {
  const { ctx, wait, session } = await openTurns()
  await using _ = ctx
  await using first = await session()
  await using second = await session()
  await wait(first)
  let waits = 0
  const turn = wait(second, 60_000, () => waits++)
  await ctx.untilTrue('it waits', () => waits >= 2)
  await endTurn(first)
  expect((await turn).slot).toBeUndefined()
})

test('a process that froze in the middle of an opening does not keep the others out for ever', async () => {
  const { ctx, wait, session } = await openTurns()
  await using _ = ctx
  await using frozen = await session()
  await using next = await session()
  // It asks nothing any more, and its connection stays open.
  await wait(frozen, 500)
  expect((await wait(next)).slot).toBeUndefined()
})

test('whoever has given its turn back may be silent for as long as it likes', async () => {
  const { ctx, wait, session } = await openTurns()
  await using _ = ctx
  await using first = await session()
  await wait(first, 500)
  await endTurn(first)
  const { rows } = await first.query("select current_setting('idle_session_timeout') as at_most")
  expect(rows).toEqual([{ at_most: '0' }])
})

test('waiting ends when the service does', async () => {
  const { ctx, wait, session, ending } = await openTurns()
  await using _ = ctx
  await using first = await session()
  await using second = await session()
  await wait(first)
  const waiting = wait(second, 60_000, () => ending.abort(new Error('the service ends')))
  await expect(waiting).rejects.toThrow('the service ends')
})
