import { expect, test } from '@jest/globals'
import { PostgresServer, waitUntil } from '@tidemark/local'
import { PipelineContext } from './pipeline/pipeline-context.ts'
import { tidemark } from './pipeline/tidemark-command.ts'

interface Finding {
  readonly severity: string
  readonly check: string
  readonly where: string
}

async function findings(ctx: PipelineContext): Promise<string[]> {
  const { stdout } = await tidemark(ctx, ['doctor', '--json'])
  return (JSON.parse(stdout) as Finding[]).map(({ severity, where, check }) => `${severity} ${where} ${check}`)
}

/** A primary and a standby that keeps a copy of the slot, set up as one would in earnest. */
async function soundServers(resources: AsyncDisposableStack) {
  const primary = resources.use(
    await PostgresServer.start({
      settings: { max_slot_wal_keep_size: '1GB', synchronized_standby_slots: 'eu_west' },
    }),
  )
  const replica = resources.use(
    await primary.createReplica({
      name: 'eu-west',
      settings: { sync_replication_slots: true, synchronized_standby_slots: '' },
    }),
  )
  return { primary, replica }
}

// Two servers of its own, and a dozen processes.
test('where all is well doctor finds nothing, status has a line for each part, and what goes wrong is found at once', async () => {
  await using resources = new AsyncDisposableStack()
  const { primary, replica } = await soundServers(resources)
  await using ctx = await PipelineContext.open({ servers: { primaryUrl: primary.url(), replicaUrl: replica.url() } })
  expect((await tidemark(ctx, ['init', '--yes'])).code).toBe(0)
  const publisher = ctx.startPublisher()
  ctx.startWorker()
  await ctx.caughtUp()
  // Of one broker nobody can ask for two copies.
  const due = ['info topic topic-copies']
  let found: string[] = []
  const isSound = async () => {
    found = await findings(ctx)
    return found.length === due.length
  }
  await waitUntil('the replica has the epoch, and every view a beat', isSound, { timeoutMs: 60_000 })
  expect(found).toEqual(due)
  expect((await tidemark(ctx, ['doctor', '--strict'])).code).toBe(0)
  expect((await tidemark(ctx, ['init'])).code).toBe(0)

  const { code, stdout } = await tidemark(ctx, ['status'])
  expect(code).toBe(0)
  expect(stdout).toMatch(/^source +t\w+ in database t\w+, Postgres \d+\.\d+, timeline 1$/m)
  expect(stdout).toMatch(/^epoch +1, from [0-9A-F]+\/[0-9A-F]+ on$/m)
  expect(stdout).toMatch(
    /^slot +\S+: tidemark-publisher \(process \d+\) streams, confirmed .* behind; reserved, keeps .* left$/m,
  )
  expect(stdout).toMatch(/^topic +\S+: 4 partitions on 1 broker\(s\), all in sync, \d+ records kept$/m)
  expect(stdout).toMatch(
    /^redis eu-west +4\/4 partitions, epoch 1, oldest watermark [\d.]+ m?s ago, \d+ records to apply$/m,
  )
  expect(stdout).toMatch(/^replica eu-west +replayed to .*, epoch 1$/m)

  await publisher.stop()
  await replica.pauseReplay()
  expect(await findings(ctx)).toEqual(
    expect.arrayContaining(['warning source slot-inactive', 'warning replica eu-west replica-paused']),
  )
  await replica.resumeReplay()
  await replica.stop()
  expect(await findings(ctx)).toEqual(
    expect.arrayContaining(['error replica eu-west unreachable', 'error source synchronized-standby-slots']),
  )
}, 180_000)
