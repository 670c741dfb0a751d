import { expect, test } from '@jest/globals'
import { parseLsn } from '@tidemark/protocol'
import { Client } from 'pg'
import { Acker } from './acker.ts'
import type { Message } from './pgoutput.ts'
import { ReplicationStream } from './stream.ts'
import { PublisherContext } from './testing/publisher-context.ts'
import type { Transaction } from './transaction.ts'
import { TransactionAssembler } from './transaction-assembler.ts'

const WATCHER = {
  onUnknown: () => undefined,
  onFloor: () => undefined,
  onShapeChanged: () => undefined,
  onProjectionLacking: () => undefined,
  onInvalidationMessage: () => undefined,
}

async function openSlot() {
  const ctx = await PublisherContext.open()
  await ctx.sql.query('create table "Odd, ""name"" " (id int primary key, n int)')
  await ctx.sql.query('insert into "Odd, ""name"" " values (1, 0), (2, 0)')
  const source = ctx.source({ odd: { key: 'odd:{id}', tables: { 'public.Odd, "name" ': { id: 'id' } } } })
  await ctx.sql.query(`create publication ${source.publication} for table "Odd, ""name"" "`)
  const start = await ctx.value<string>("select lsn::text from pg_create_logical_replication_slot($1, 'pgoutput')", [
    source.slot,
  ])
  return { ctx, source, start: parseLsn(start) }
}

type Opened = Awaited<ReturnType<typeof openSlot>>

/** Streams into `seen`, confirming what the acker says. */
async function stream({ ctx, source }: Opened, acker: Acker, seen: Transaction[], onBackend = (_pid: number) => {}) {
  const assembler = new TransactionAssembler(source, WATCHER)
  return ReplicationStream.open({
    url: ctx.url,
    slot: source.slot,
    publication: source.publication,
    start: acker.safe,
    silenceMs: 10_000,
    acknowledged: () => acker.forAcknowledge(),
    onBackend,
    onMessage: (message: Message) => {
      const transaction = assembler.accept(message)
      if (transaction) seen.push(transaction)
    },
    onKeepalive: () => undefined,
    onBroken: () => undefined,
  })
}

/** Two commits with nothing between them: the second one's rows are written before the first one commits. */
async function commitAdjacent({ ctx }: Opened): Promise<void> {
  const other = new Client({ connectionString: ctx.url })
  await other.connect()
  try {
    await ctx.sql.query('begin; update "Odd, ""name"" " set n = n + 1 where id = 1')
    await other.query('begin; update "Odd, ""name"" " set n = n + 1 where id = 2')
    await Promise.all([ctx.sql.query('commit'), other.query('commit')])
  } finally {
    await other.end()
  }
}

test('I4: adjacent commits: after a restart at the end of the first, the second is delivered', async () => {
  const opened = await openSlot()
  const { ctx, source } = opened
  await using _ = ctx
  const seen: Transaction[] = []
  const acker = new Acker(opened.start)
  const first = await stream(opened, acker, seen)
  const touching = () => seen.findIndex((t, i) => seen[i + 1]?.commitLsn === t.endLsn)
  // Two commits at the same moment are usually, not always, neighbours in the log.
  await ctx.untilTrue('two commits touch', async () => {
    const before = seen.length
    await commitAdjacent(opened)
    await ctx.untilTrue('both are delivered', () => seen.length >= before + 2)
    return touching() >= 0
  })
  const [one, two] = seen.slice(touching())
  expect(two!.commitLsn).toBe(one!.endLsn)
  acker.published(one!.endLsn, 1, 1)
  first.status(false)
  const confirmed = async () =>
    parseLsn(
      await ctx.value<string>('select confirmed_flush_lsn::text from pg_replication_slots where slot_name = $1', [
        source.slot,
      ]),
    )
  await ctx.untilTrue('the slot has moved', async () => (await confirmed()) > opened.start)
  expect(await confirmed()).toBe(one!.endLsn)
  await first.close()
  await ctx.untilTrue('the slot is free', async () =>
    ctx.value<boolean>('select not active from pg_replication_slots where slot_name = $1', [source.slot]),
  )
  const again: Transaction[] = []
  const second = await stream(opened, new Acker(await confirmed()), again)
  await ctx.untilTrue('something is delivered', () => again.length > 0)
  expect(again[0]!.commitLsn).toBe(two!.commitLsn)
  await second.close()
})

test('names that SQL would fold or split are quoted, in the publication and in the stream', async () => {
  const opened = await openSlot()
  await using ctx = opened.ctx
  const seen: Transaction[] = []
  const running = await stream(opened, new Acker(opened.start), seen)
  await ctx.sql.query('update "Odd, ""name"" " set n = 5 where id = 1')
  await ctx.untilTrue('the change is delivered', () => seen.length > 0)
  expect([...seen[0]!.keys.values()].map((keys) => [...keys])).toEqual([['odd:1']])
  await running.close()
})

test('a slot that is already streamed from is SLOT_ACTIVE, one that is not there SLOT_LOST', async () => {
  const opened = await openSlot()
  await using _ = opened.ctx
  const running = await stream(opened, new Acker(opened.start), [])
  await expect(stream(opened, new Acker(opened.start), [])).rejects.toMatchObject({ code: 'SLOT_ACTIVE' })
  await running.close()
  const absent = { ...opened, source: { ...opened.source, slot: 'no_such_slot' } }
  await expect(stream(absent, new Acker(opened.start), [])).rejects.toMatchObject({ code: 'SLOT_LOST' })
})

test('the server’s process is known before the server streams: it may hold the slot though the start was given up', async () => {
  const opened = await openSlot()
  await using ctx = opened.ctx
  const pids: number[] = []
  const running = await stream(opened, new Acker(opened.start), [], (pid) => pids.push(pid))
  expect(pids).toEqual([
    await ctx.value<number>('select active_pid from pg_replication_slots where slot_name = $1', [opened.source.slot]),
  ])
  const refused = stream(opened, new Acker(opened.start), [], (pid) => pids.push(pid))
  await expect(refused).rejects.toMatchObject({ code: 'SLOT_ACTIVE' })
  expect(pids).toHaveLength(2)
  await running.close()
})

test('a handler that throws breaks the stream, and nothing is thrown out of the socket', async () => {
  const opened = await openSlot()
  await using ctx = opened.ctx
  const broken: string[] = []
  const running = await ReplicationStream.open({
    url: ctx.url,
    slot: opened.source.slot,
    publication: opened.source.publication,
    start: opened.start,
    silenceMs: 10_000,
    acknowledged: () => new Acker(opened.start).forAcknowledge(),
    onBackend: () => undefined,
    onMessage: () => {
      throw new RangeError('a bug')
    },
    onKeepalive: () => undefined,
    onBroken: (error) => broken.push(error.code),
  })
  await ctx.sql.query('update "Odd, ""name"" " set n = 5')
  await ctx.untilTrue('it is told', () => broken.length > 0)
  expect(broken).toEqual(['STREAM_BROKEN'])
  await running.close()
})
