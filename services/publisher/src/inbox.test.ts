import { expect, test } from '@jest/globals'
import { defineSource } from '@tidemark/protocol'
import { Inbox } from './inbox.ts'
import { parseMessage } from './pgoutput.ts'
import { begin, commit, insert, relation } from './testing/pgoutput-bytes.ts'
import { TransactionAssembler } from './transaction-assembler.ts'

const SOURCE = defineSource({
  name: 'shop',
  keyspaces: { products: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } } } },
})
const PRODUCT = relation(1, 'public.product', [{ name: 'id', identity: true }])
const ALL_VISIBLE = { xmin: 1_000n, xmax: 1_000n, running: new Set<bigint>() }

function inboxOf(maxBytes: number) {
  const reading: string[] = []
  const assembler = new TransactionAssembler(SOURCE, {
    onUnknown: () => undefined,
    onFloor: () => undefined,
    onShapeChanged: () => undefined,
    onProjectionLacking: () => undefined,
    onInvalidationMessage: () => undefined,
  })
  const inbox = new Inbox({
    assembler,
    maxBytes,
    pause: () => reading.push('pause'),
    resume: () => reading.push('resume'),
  })
  const feed = (...messages: readonly Buffer[]) => {
    for (const message of messages) inbox.accept(parseMessage(message))
  }
  return { inbox, reading, feed }
}

function whole(xid: number): Buffer[] {
  const at = BigInt(xid) * 100n
  return [begin(at, xid), PRODUCT, insert(1, [String(xid)]), commit(at, at + 50n)]
}

test('reading stops above the bound and goes on once half of it is gone', () => {
  const { inbox, reading, feed } = inboxOf(2_000)
  for (let xid = 3; xid < 12; xid++) feed(...whole(xid))
  expect(reading).toEqual(['pause'])
  expect(inbox.release(ALL_VISIBLE, 1).length).toBe(1)
  expect(reading).toEqual(['pause'])
  inbox.release(ALL_VISIBLE, 100)
  expect(reading).toEqual(['pause', 'resume'])
  expect(inbox.bytes).toBe(0)
})

test('a transaction that is still being received does not stop reading: it would never end', () => {
  const { reading, feed } = inboxOf(1_000)
  feed(begin(300n, 3), PRODUCT, ...Array.from({ length: 500 }, (_, i) => insert(1, [String(i)])))
  expect(reading).toEqual([])
  feed(commit(300n, 350n))
  expect(reading).toEqual(['pause'])
})

test('I3: inside a transaction the server’s position does not pass that transaction’s commit', () => {
  const { inbox, feed } = inboxOf(10_000)
  feed(begin(300n, 3), PRODUCT)
  inbox.keepalive(400n)
  expect(inbox.release(undefined, 10)).toEqual([{ kind: 'keepalive', lsn: 300n }])
  feed(insert(1, ['1']), commit(300n, 350n))
  inbox.keepalive(400n)
  expect(inbox.release(undefined, 10)).toEqual([])
  expect(inbox.release(ALL_VISIBLE, 10).at(-1)).toEqual({ kind: 'keepalive', lsn: 400n })
})

test('an arrival wakes whoever waits for one, each time anew', async () => {
  const { inbox } = inboxOf(10_000)
  for (const lsn of [1n, 2n]) {
    const arrival = inbox.arrival
    inbox.keepalive(lsn)
    await arrival
  }
  expect(inbox.onlyKeepalive).toBe(true)
})
