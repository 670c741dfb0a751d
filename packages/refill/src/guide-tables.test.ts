import { readdir, readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { contractSchema, defineSource } from '@tidemark/protocol'
import { CHANNEL, type RefillEvent } from './events.ts'
import type { MemoryOptions } from './memory/memory.ts'
import { checkedOptions, type TidemarkOptions } from './options.ts'
import { countEvent } from './otel/counted.ts'
import type { Reading } from './read/answer.ts'
import type { CacheOptions } from './read/cache.ts'
import type { ReadOptions } from './read/inquiry.ts'
import type { ReadDoubt } from './read/judge-loaded.ts'
import type { CarriageOptions } from './session/carriage.ts'
import { DEFAULT_PRIMARY_LIMIT } from './sources/primary-limit.ts'
import { ONE_OF_EACH } from './testing/told-events.ts'
import { DEFAULT_TIMINGS } from './timings.ts'

const folder = import.meta.dirname
const guide = (await readFile(join(folder, '../docs/guide.md'), 'utf8'))
  .replaceAll(/ +\|/g, ' |')
  .replaceAll(/\| +/g, '| ')

/** The rows of the table whose head begins so, each with its cells. */
function tableOf(head: string): string[][] {
  const tables = guide.split('\n\n').filter((part) => part.startsWith(`| ${head} |`))
  expect(tables).toHaveLength(1)
  return tables[0]!
    .trim()
    .split('\n')
    .slice(2)
    .map((row) => row.slice(2, -2).split(' | '))
}

const namesIn = (head: string) => tableOf(head).map(([name]) => name!.replaceAll('`', ''))
const code = (value: unknown) => (typeof value === 'string' ? `\`${value}\`` : String(value))

/** Every name of a type: one that is missing here, or is none, does not compile. */
const namesOf = <T>(names: Readonly<Record<keyof T & string, true>>) => Object.keys(names)

test.each([
  ['`openTidemark`', namesOf<TidemarkOptions<Record<string, string>>>(optionNames())],
  ['`cache`', namesOf<CacheOptions<unknown, unknown>>({ load: true, loadMany: true, dependsOn: true })],
  ['option of a read', namesOf<ReadOptions>(readOptionNames())],
  ['field', namesOf<Reading<unknown>>(readingNames())],
  ['`doubt`', namesOf<Record<ReadDoubt, unknown>>(doubts())],
  ['`memory`', namesOf<MemoryOptions>({ subscriber: true, maxEntries: true, maxBytes: true, silenceMs: true })],
  ['option of a middleware', namesOf<CarriageOptions>({ header: true, cookie: true, invalid: true })],
  ['`primaryLimit`', Object.keys(DEFAULT_PRIMARY_LIMIT)],
  ['timing', Object.keys(DEFAULT_TIMINGS)],
])('the guide’s table of %s names all there are, and nothing else', (head, names) => {
  expect(namesIn(head).toSorted()).toEqual([...names].toSorted())
})

test('the guide says each default as it is', () => {
  const source = defineSource({ name: 'shop', keyspaces: { product: { key: 'product:{id}', tables: {} } } })
  const unused = async () => Promise.reject(new Error('not asked'))
  const redis = { evalsha: unused, eval: unused, mgetBuffer: unused }
  const { maxValueBytes, maxRefreshes, tokenMaxAgeMs, region } = checkedOptions({
    ...{ source, redis, primary: { connect: unused } },
  })
  const { session, ...contract } = contractSchema.parse({})
  const promised = Object.entries(session).map(([name, value]) => [`session.${name}`, value] as const)
  const tables: [string, Iterable<readonly [string, unknown]>][] = [
    ['contract', [...Object.entries(contract), ...promised]],
    ['timing', Object.entries(DEFAULT_TIMINGS)],
    ['`primaryLimit`', Object.entries(DEFAULT_PRIMARY_LIMIT)],
    ['`openTidemark`', Object.entries({ maxValueBytes, maxRefreshes, tokenMaxAgeMs, region })],
  ]
  for (const [head, defaults] of tables) {
    const said = new Map(tableOf(head).map(([name, value]) => [name!.replaceAll('`', ''), value]))
    for (const [name, value] of defaults) expect([name, said.get(name)]).toEqual([name, code(value)])
  }
  expect(namesIn('contract').toSorted()).toEqual([...Object.keys(contract), ...promised.map(([n]) => n)].toSorted())
})

test('the guide’s table of errors names each code that the package throws', async () => {
  const files = (await readdir(folder, { recursive: true })).filter((file) => /^(?!testing).*(?<!test)\.ts$/.test(file))
  const texts = await Promise.all(files.map((file) => readFile(join(folder, file), 'utf8')))
  const thrown = texts.flatMap((text) =>
    [...text.matchAll(/new TidemarkError\(\s*'([A-Z_]+)'/g)].map(([, one]) => one!),
  )
  // Never leave the package: each becomes what a read answers, or its cause.
  const within = ['CELL_MALFORMED', 'DEADLINE_EXCEEDED', 'REDIS_NOT_MASTER']
  const ofProtocol = ['KEYSPACE_UNKNOWN']
  const leaving = new Set([...thrown.filter((one) => !within.includes(one)), ...ofProtocol])
  expect([...new Set(namesIn('code'))].toSorted()).toEqual([...leaving].toSorted())
})

test('the guide’s table of events is that of the code: what each says, and what it counts as', async () => {
  expect(guide).toContain(CHANNEL)
  const text = await readFile(join(folder, 'events.ts'), 'utf8')
  const rows = [...text.matchAll(/\/\*\* (.+?) \*\/\n {2}(\w+): (?:\{ (.*) \}|object)\n/g)].map(
    ([, says, name, fields]) => [
      `\`${name}\``,
      (fields ?? '')
        .replaceAll(/(\w+): [^;]+(; )?/g, '`$1` ')
        .trim()
        .replaceAll('` `', '`, `') || '–',
      says!,
      countedAs(name as RefillEvent['event']),
    ],
  )
  expect(rows).toHaveLength(Object.keys(ONE_OF_EACH).length)
  const table = rows.map((row) => `| ${row.join(' | ')} |`).join('\n')
  if (JSON.stringify(tableOf('event')) !== JSON.stringify(rows)) throw new Error(`the table is:\n${table}`)
})

function countedAs(name: RefillEvent['event']): string {
  const metrics: string[] = []
  countEvent({ ...ONE_OF_EACH[name], source: 'shop', region: 'eu' } as RefillEvent, (metric) => metrics.push(metric))
  return metrics.map((metric) => `\`${metric}\``).join(', ')
}

function optionNames() {
  return {
    ...({ source: true, redis: true, primary: true, replicas: true, primaryLimit: true, region: true } as const),
    ...({ tokenKeys: true, tokenMaxAgeMs: true, serializer: true, compression: true, maxValueBytes: true } as const),
    ...({ maxRefreshes: true, route: true, memory: true, timings: true } as const),
  }
}

function readOptionNames() {
  return {
    ...({ session: true, signal: true, consistency: true, maxStalenessMs: true } as const),
    ...({ whenUnprovable: true, mayRoute: true } as const),
  }
}

function readingNames() {
  return { value: true, freshness: true, doubt: true, position: true, label: true, from: true } as const
}

function doubts() {
  return {
    ...({ 'no-view': true, gap: true, absent: true, retained: true, floor: true, 'behind-session': true } as const),
    ...({ 'too-old': true, 'redis-away': true, bypass: true, expired: true, unannounced: true } as const),
    ...({ 'primary-limited': true, 'out-of-time': true } as const),
  }
}
