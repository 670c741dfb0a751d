import { expect, test } from '@jest/globals'
import { allKeyspaces, defineSource } from '@tidemark/protocol'
import fc from 'fast-check'
import { parseMessage } from './pgoutput.ts'
import { begin, commit, emitted, insert, relation, remove, truncate, update } from './testing/pgoutput-bytes.ts'
import { TransactionAssembler } from './transaction-assembler.ts'

const LIMIT = 4
const TABLES = ['product', 'stock', 'other'] as const
const SOURCE = defineSource({
  name: 'shop',
  keyspaces: {
    products: { key: 'product:{id}', tables: { 'public.product': { id: 'id' } }, maxKeysPerTransaction: LIMIT },
    goods: {
      key: 'good:{id}',
      tables: { 'public.product': { id: 'id' }, 'public.stock': { id: 'id' } },
      maxKeysPerTransaction: 2 * LIMIT,
    },
    pages: { key: 'page:{path}', tables: {}, maxKeysPerTransaction: LIMIT },
  },
})
type Table = (typeof TABLES)[number]

/** Which keys of which keyspaces a row of a table has. */
const KEYS: Readonly<Record<Table, (id: string) => Readonly<Record<string, string>>>> = {
  product: (id) => ({ products: `product:${id}`, goods: `good:${id}` }),
  stock: (id) => ({ goods: `good:${id}` }),
  other: () => ({}),
}

type Step =
  | { readonly do: 'row'; readonly table: Table; readonly old: string | null; readonly next: string | null }
  | { readonly do: 'truncate'; readonly tables: readonly Table[] }
  | {
      readonly do: 'say'
      readonly pages: readonly string[]
      readonly tags: readonly string[]
      readonly all: readonly string[]
    }
  | { readonly do: 'say nonsense' }
  | { readonly do: 'describe'; readonly table: Table }
  | { readonly do: 'unknown' }

const id = fc.integer({ min: 0, max: 11 }).map(String)
const table = fc.constantFrom(...TABLES)
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 12,
    arbitrary: fc.record({
      do: fc.constant('row'),
      table,
      old: fc.option(id),
      next: fc.option(id),
    }) as fc.Arbitrary<Step>,
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('truncate'),
      tables: fc.uniqueArray(table, { minLength: 1 }),
    }) as fc.Arbitrary<Step>,
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant('say'),
      pages: fc.array(id, { maxLength: 3 }),
      tags: fc.array(id, { maxLength: 3 }),
      all: fc.uniqueArray(fc.constantFrom('products', 'goods', 'pages', 'tag'), { maxLength: 1 }),
    }) as fc.Arbitrary<Step>,
  },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'say nonsense' }) },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('describe'), table }) as fc.Arbitrary<Step> },
  { weight: 1, arbitrary: fc.constant<Step>({ do: 'unknown' }) },
)

function describeTable(name: Table): Buffer {
  return relation(TABLES.indexOf(name) + 1, `public.${name}`, [{ name: 'id', identity: true }])
}

function bytesOf(step: Step): Buffer[] {
  switch (step.do) {
    case 'row':
      return rowBytes(TABLES.indexOf(step.table) + 1, step.old, step.next)
    case 'truncate':
      return [truncate(...step.tables.map((name) => TABLES.indexOf(name) + 1))]
    case 'say': {
      const keys = step.pages.map((page) => `page:${page}`)
      return [emitted('tidemark.shop', JSON.stringify({ keys, tags: step.tags, keyspaces: step.all }))]
    }
    case 'say nonsense':
      return [emitted('tidemark.shop', '{')]
    case 'describe':
      return [describeTable(step.table)]
    case 'unknown':
      return [Buffer.from('A')]
  }
}

function rowBytes(oid: number, old: string | null, next: string | null): Buffer[] {
  if (old !== null && next !== null) return [update(oid, [next], { image: 'K', columns: [old] })]
  if (next !== null) return [insert(oid, [next])]
  return old === null ? [] : [remove(oid, 'K', [old])]
}

/** What must come out, said as plainly as it can be. */
class Model {
  readonly #keys = new Map<string, Set<string>>()
  readonly #floors = new Set<string>()

  take(step: Step): void {
    if (step.do === 'row') for (const id of [step.old, step.next]) if (id !== null) this.#add(KEYS[step.table](id))
    if (step.do === 'truncate')
      for (const name of step.tables) for (const k of Object.keys(KEYS[name]('0'))) this.#floors.add(k)
    if (step.do === 'say nonsense') for (const { name } of allKeyspaces(SOURCE)) this.#floors.add(name)
    if (step.do === 'say') {
      for (const page of step.pages) this.#add({ pages: `page:${page}` })
      for (const tag of step.tags) this.#add({ tag: `tag:${tag}` })
      for (const keyspace of step.all) this.#floors.add(keyspace)
    }
  }

  get outcome() {
    const limits = new Map(allKeyspaces(SOURCE).map((k) => [k.name, k.maxKeysPerTransaction]))
    const isFloor = (name: string) => this.#floors.has(name) || (this.#keys.get(name)?.size ?? 0) > limits.get(name)!
    const names = [...limits.keys()]
    const keys = [...this.#keys]
      .filter(([name]) => !isFloor(name))
      .map(([name, set]) => [name, [...set].sort()] as const)
    return { floors: names.filter(isFloor).sort(), keys: Object.fromEntries(keys.sort()) }
  }

  #add(keys: Readonly<Record<string, string>>): void {
    for (const [keyspace, key] of Object.entries(keys)) {
      this.#keys.set(keyspace, (this.#keys.get(keyspace) ?? new Set()).add(key))
    }
  }
}

const transactions = fc.array(fc.record({ steps: fc.array(step, { maxLength: 25 }), cutOff: fc.boolean() }), {
  minLength: 1,
  maxLength: 6,
})

test('every sequence of transactions, some cut off and sent again, comes out as the plainest model says', () => {
  fc.assert(
    fc.property(transactions, (given) => {
      const told: string[] = []
      const assembler = new TransactionAssembler(SOURCE, {
        onUnknown: () => undefined,
        onFloor: (keyspace) => told.push(keyspace.name),
        onShapeChanged: () => expect('a shape').toBe('unchanged'),
        onProjectionLacking: () => undefined,
        onInvalidationMessage: () => undefined,
      })
      const feed = (bytes: Buffer) => assembler.accept(parseMessage(bytes))
      for (const [i, { steps, cutOff }] of given.entries()) {
        const lsn = BigInt(i) * 10n
        // Postgres describes every relation anew on each connection.
        const messages = [begin(lsn, i), ...TABLES.map(describeTable), ...steps.flatMap(bytesOf)]
        if (cutOff) {
          for (const message of messages) feed(message)
          assembler.reset()
        }
        told.length = 0
        for (const message of messages) expect(feed(message)).toBeUndefined()
        const transaction = feed(commit(lsn, lsn + 10n))!
        const model = new Model()
        for (const each of steps) model.take(each)
        const floors = [...transaction.floors].map((k) => k.name).sort()
        const keys = [...transaction.keys].filter(([, set]) => set.size > 0)
        expect({
          floors,
          keys: Object.fromEntries(keys.map(([k, set]) => [k.name, [...set].sort()] as const).sort()),
        }).toEqual(model.outcome)
        // Each floor is told of once.
        expect(told.sort()).toEqual(floors)
        expect(assembler.openBytes).toBe(0)
      }
    }),
    { numRuns: 150 },
  )
})
