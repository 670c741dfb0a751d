// The examples of docs/guide.md, as they stand there; guide.server.test.ts runs them.
import { defineSource, type Source } from '@tidemark/protocol'
import { openTidemark, type Tidemark, type TidemarkOptions, tag } from '@tidemark/refill'
import { tidemarkSession as expressSession } from '@tidemark/refill/express'
import { tidemarkSession as fastifySession } from '@tidemark/refill/fastify'
import { recordRefill } from '@tidemark/refill/otel'
import type { Express } from 'express'
import type { FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import pg from 'pg'

type Keys = { readonly product: 'product:{id}'; readonly customer: 'customer:{id}' }
type Shop = Tidemark<Keys>

/** Pools are yours, and so are their bounds. */
export function openPool(connectionString: string) {
  const pool = new pg.Pool({ connectionString, connectionTimeoutMillis: 500, statement_timeout: 5_000 })
  return pool.on('error', (error) => console.error('an idle connection broke', error.message))
}

export const contracts = defineSource({
  name: 'shop',
  keyspaces: {
    product: {
      key: 'product:{id}',
      tables: { 'public.product': { id: 'id' } },
      contract: { maxStalenessMs: 2_000, whenUnprovable: 'serve-stale', retainStaleMs: 60_000 },
    },
    customer: { key: 'customer:{id}', tables: { 'public.customer': { id: 'id' } } },
  },
})

export async function overrides(tidemark: Shop, signal: AbortSignal) {
  const product = productOf(tidemark)
  await product.read({ id: 1 }, { consistency: 'strong' }) // the primary, and nothing else
  await product.read({ id: 1 }, { consistency: 'any' }) // what is there, whatever its age, and says so
  await product.read({ id: 1 }, { maxStalenessMs: 30_000, whenUnprovable: 'fail', signal })
}

export async function handOver(tidemark: Shop, send: (job: { id: number; token: string }) => Promise<void>) {
  const session = tidemark.session()
  await session.write((db) => db.query('update product set cents = 1 where id = 1'))
  await send({ id: 1, token: session.token() }) // who works on it begins with tidemark.session(token)
}

export function serveExpress(app: Express, tidemark: Shop) {
  app.use(expressSession(tidemark, { cookie: { sameSite: 'strict' } }))
  const product = productOf(tidemark)
  app.get('/product/:id', async (req, res) => {
    res.json(await product.get({ id: req.params.id }, { session: req.tidemark }))
  })
}

export async function serveFastify(app: FastifyInstance, tidemark: Shop) {
  await app.register(fastifySession, { tidemark })
  const product = productOf(tidemark)
  app.get<{ Params: { id: string } }>('/product/:id', async ({ params, tidemark: session }) =>
    product.get({ id: params.id }, { session }),
  )
}

export function productOf(tidemark: Shop) {
  return tidemark.cache('product', {
    load: async (db, { id }) => {
      const { rows } = await db.query<Product>('select id, cents from product where id = $1', [id])
      return rows[0]
    },
    loadMany: async (db, params) => {
      const ids = params.map(({ id }) => Number(id))
      const { rows } = await db.query<Product>('select id, cents from product where id = any($1)', [ids])
      const byId = new Map(rows.map((row) => [row.id, row]))
      return ids.map((id) => byId.get(id))
    },
  })
}

interface Product {
  readonly id: number
  readonly cents: number
}

export async function oneInstant(tidemark: Shop) {
  const product = productOf(tidemark)
  const { values, position } = await tidemark.snapshot([product.at({ id: 1 }), product.at({ id: 2 })])
  return { values, position } // as the database was at one instant, between position.low and position.high
}

export function withDependencies(tidemark: Shop) {
  return tidemark.cache('product', {
    load: async (db, { id }) => {
      const { rows } = await db.query<{ name: string; seller: number }>(
        'select p.name, c.id as seller from product p join customer c on c.id = p.seller where p.id = $1',
        [id],
      )
      return rows[0]
    },
    dependsOn: (_, value) => [
      tag('sale'),
      ...(value ? ([{ keyspace: 'customer', params: { id: value.seller } }] as const) : []),
    ],
  })
}

export async function withMemory(url: string, { source, redis, primary }: TidemarkOptions<Keys>) {
  const subscriber = new Redis(url) // used for nothing else: it is put in subscriber mode
  const tidemark = await openTidemark({ source, redis, primary, memory: { subscriber, maxEntries: 10_000 } })
  return { tidemark, close: () => tidemark.close().finally(() => subscriber.disconnect()) }
}

export function observed(source: Source) {
  return recordRefill({ source, region: 'eu-west' }) // counters of OpenTelemetry, until it is disposed of
}
