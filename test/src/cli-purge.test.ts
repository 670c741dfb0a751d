import { expect, test } from '@jest/globals'
import { PipelineContext } from './pipeline/pipeline-context.ts'
import { tidemark } from './pipeline/tidemark-command.ts'
import { LeastPrivilegeRoles } from './security/least-privilege-roles.ts'

const IDS = [1, 2, 3]

async function openPipeline(): Promise<PipelineContext> {
  const ctx = await PipelineContext.open()
  await ctx.start()
  await ctx.primary.query('insert into hot select id, 1 from unnest($1::int[]) id', [IDS])
  await ctx.caughtUp()
  return ctx
}

test('a purge takes its way through the pipeline: a key’s value alone is gone, a keyspace’s all, once it says so', async () => {
  await using ctx = await openPipeline()
  const counters = await ctx.counters({ replicas: [] })
  const from = async (id: number) => (await counters.read({ id })).from
  for (const id of IDS) await counters.get({ id })
  expect(await Promise.all(IDS.map(from))).toEqual(['redis', 'redis', 'redis'])

  const ofKey = await tidemark(ctx, ['purge', 'hot:1', '--tag', 'sale'])
  expect(ofKey).toMatchObject({
    code: 0,
    stdout: expect.stringMatching(/reached 1\/\w+\/\w+ has.*\neu-west: applied after/),
  })
  expect(await Promise.all(IDS.map(from))).toEqual(['primary', 'redis', 'redis'])

  const unconfirmed = await tidemark(ctx, ['purge', '--keyspace', 'hot'])
  expect([unconfirmed.code, await from(2)]).toEqual([10, 'redis'])
  const confirmed = await tidemark(ctx, ['purge', '--keyspace', 'hot', '--yes', '--json'])
  expect([confirmed.code, JSON.parse(confirmed.stdout)]).toMatchObject([0, { regions: [{ region: 'eu-west' }] }])
  expect(await Promise.all(IDS.map(from))).toEqual(['primary', 'primary', 'primary'])
}, 120_000)

test('a region that has not applied it in time, or cannot be reached, is named; what is no key of the source is refused', async () => {
  await using ctx = await PipelineContext.open()
  const publisher = ctx.startPublisher()
  const worker = ctx.startWorker()
  await ctx.caughtUp()
  await worker.stop()
  const { code, stdout } = await tidemark(ctx, ['purge', 'hot:1', '--wait', '300ms'], {
    TIDEMARK_REDIS_US_EAST_URL: 'redis://127.0.0.1:1',
  })
  expect(code).toBe(1)
  expect(stdout).toMatch(/^eu-west: NOT YET: partition \d stands at 1\/\S+, its last beat/m)
  expect(stdout).toMatch(/^us-east: NOT YET: .*ECONNREFUSED/m)
  await publisher.stop()

  const mistaken = await tidemark(ctx, ['purge', 'cold:1', '--keyspace', 'cold', '--wait', 'long'])
  expect(mistaken.code).toBe(2)
  expect(mistaken.stderr).toMatch(/"cold:1" is a key of no keyspace; those of \w+ are hot:\{id\}, tag:\{name\}/)
  expect(mistaken.stderr).toMatch(/no keyspace "cold"[\s\S]*--wait "long"/)
}, 120_000)

test('the publisher’s role may purge, with what init grants it; before any publisher there is nobody to hear of it', async () => {
  await using ctx = await PipelineContext.open()
  await using roles = await LeastPrivilegeRoles.grant(ctx)
  const url = { TIDEMARK_PRIMARY_URL: roles.urlOf(roles.publisher) }
  const unheard = await tidemark(ctx, ['purge', 'hot:1'], url)
  expect(unheard).toMatchObject({ code: 1, stderr: expect.stringMatching(/has no source.*Start its publisher first/) })
  await ctx.start()
  expect(await tidemark(ctx, ['purge', 'hot:1'], url)).toMatchObject({ code: 0 })
}, 120_000)
