import { expect, test } from '@jest/globals'
import { partitionKeys } from '@tidemark/guard'
import { partitionOf } from '@tidemark/protocol'
import { PipelineContext } from './pipeline/pipeline-context.ts'
import { tidemark } from './pipeline/tidemark-command.ts'
import { LeastPrivilegeRoles } from './security/least-privilege-roles.ts'

test('a key is told with all that is known of it, and I2 broken by hand is told loudly', async () => {
  await using ctx = await PipelineContext.open()
  await using roles = await LeastPrivilegeRoles.grant(ctx)
  await ctx.start()
  await ctx.primary.query('insert into hot values (7, 41)')
  await ctx.caughtUp()
  const counters = await ctx.counters({ replicas: [] })
  await counters.get({ id: 7 })

  const sound = await tidemark(ctx, ['inspect', 'hot:7', '--value'])
  expect([sound.code, sound.stderr]).toEqual([0, ''])
  for (const words of [
    /^hot:7: keyspace hot \(hot:\{id\}\), partition \d$/m,
    /^region eu-west$/m,
    /view +epoch 1, next offset \d+, last beat .* ago$/m,
    /cell +live, \[1\/\S+, 1\/\S+\], loaded .* ago, .* left$/m,
    /value +2 B, JSON, not compressed, stored .* ago, (after a load of .*|not by a load), no dependencies$/m,
    /^ +41$/m,
    /lease +none$/m,
    /tombstone +1\/\S+ in generation 0$/m,
    /served +fresh: it holds all that 1\/\S+ covers, known to have been current/m,
    /refill +needs a source that has reached 1\/\S+; replica eu-west stands at 1\/\S+: .*; the primary always serves$/m,
    /event +1\/\S+, committed 20\S+Z, at offset \d+$/m,
    /row +public\.hot: written by transaction \d+, /m,
  ]) {
    expect(sound.stdout).toMatch(words)
  }
  const ofRole = await tidemark(ctx, ['inspect', 'hot:7'], { TIDEMARK_PRIMARY_URL: roles.urlOf(roles.publisher) })
  expect(ofRole.stdout).toMatch(/public\.hot: the role of TIDEMARK_PRIMARY_URL may not read it$/m)
  expect(ofRole.stdout).not.toMatch(/^ +41/m)

  const cell = partitionKeys(ctx.name, partitionOf('hot:7', ctx.source.partitions)).cell('hot:7')
  const before = await ctx.redis.getBuffer(cell)
  await ctx.primary.query('update hot set n = 42')
  await ctx.caughtUp()
  await ctx.redis.set(cell, before!, 'PX', 600_000)
  const broken = await tidemark(ctx, ['inspect', 'hot:7'])
  expect(broken).toMatchObject({
    code: 1,
    stdout: expect.stringMatching(/^STALE in eu-west: the live cell does not cover/m),
  })
  const { stdout } = await tidemark(ctx, ['inspect', 'hot:7', '--json'])
  expect(JSON.parse(stdout)).toMatchObject({ regions: [{ name: 'eu-west', facts: { coherence: { isStale: true } } }] })
}, 120_000)
