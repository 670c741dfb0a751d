import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from '@jest/globals'
import { openTidemark } from '@tidemark/refill'
import express from 'express'
import fastify from 'fastify'
import * as guide from './testing/guide.ts'
import { ShopContext } from './testing/shop-context.ts'

const folder = import.meta.dirname
const TOKEN_KEYS = [{ id: 1, secret: 'a secret that has thirty-two bytes' }]
const SCHEMA = `
  create table customer (id integer primary key, name text not null);
  alter table product add column seller integer not null default 1;
  insert into customer values (1, 'Ada')`

/** The guide's source on a shop's servers: one partition, whose view the shop's own keyspace opens. */
async function openGuide(shop: ShopContext) {
  const { keyPrefix, partitions } = shop.source
  const source = { ...guide.contracts, keyPrefix, partitions }
  const { redis, primary, replica } = shop
  const options = { source, redis, primary, replicas: [replica], tokenKeys: TOKEN_KEYS }
  return { options, tidemark: await openTidemark(options) }
}

test('each example of the guide is one that runs here', async () => {
  const text = await readFile(join(folder, '../docs/guide.md'), 'utf8')
  const source = await readFile(join(folder, 'testing/guide.ts'), 'utf8')
  const examples = [...text.matchAll(/```ts\n(.*?)```/gs)].flatMap(([, code]) => code!.trim().split('\n\nexport '))
  expect(examples.length).toBeGreaterThan(8)
  for (const example of examples) expect(source).toContain(example.replace(/^export /, ''))
})

test('the guide’s reads: overrides, many keys, dependencies, a hand-over', async () => {
  await using shop = await ShopContext.open()
  await shop.primary.query(SCHEMA)
  await shop.replicaCaughtUp()
  await shop.trust()
  const { tidemark } = await openGuide(shop)
  const products = guide.productOf(tidemark)
  expect(await products.getMany([{ id: 2 }, { id: 1 }, { id: 4711 }])).toMatchObject([{ id: 2 }, { id: 1 }, undefined])
  await guide.overrides(tidemark, AbortSignal.timeout(10_000))
  expect(await guide.withDependencies(tidemark).get({ id: 3 })).toMatchObject({ seller: 1 })
  expect(await guide.oneInstant(tidemark)).toMatchObject({ values: [{ id: 1 }, { id: 2 }] })
  const jobs: { id: number; token: string }[] = []
  await guide.handOver(tidemark, async (job) => void jobs.push(job))
  const session = tidemark.session(jobs[0]!.token)
  expect(await products.get({ id: 1 }, { session })).toMatchObject({ cents: 1 })
})

test('the guide’s memory holds what was looked up, and its recorder counts', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const { options } = await openGuide(shop)
  const url = `redis://${shop.redis.options.host}:${shop.redis.options.port}`
  using _recorded = guide.observed(options.source)
  const { tidemark, close } = await guide.withMemory(url, options)
  expect(await guide.productOf(tidemark).get({ id: 1 })).toMatchObject({ cents: 1999 })
  await close()
})

test('the guide’s routes answer with a product in Express and in Fastify', async () => {
  await using shop = await ShopContext.open()
  await shop.trust()
  const { tidemark } = await openGuide(shop)
  const app = fastify()
  await guide.serveFastify(app, tidemark)
  expect((await app.inject('/product/1')).json()).toMatchObject({ id: 1, cents: 1999 })
  await app.close()
  const old = express()
  guide.serveExpress(old, tidemark)
  const server = old.listen(0)
  try {
    const { port } = server.address() as { port: number }
    const response = await fetch(`http://127.0.0.1:${port}/product/1`)
    expect(await response.json()).toMatchObject({ id: 1, cents: 1999 })
    expect(response.headers.get('set-cookie')).toContain('tidemark-session=')
  } finally {
    server.closeAllConnections()
    server.close()
  }
})

test('the guide’s pool gives up on a server that is not there', async () => {
  const pool = guide.openPool('postgres://app@127.0.0.1:1/shop')
  await expect(pool.query('select 1')).rejects.toMatchObject({ code: 'ECONNREFUSED' })
  await pool.end()
})
