import { readFile } from 'node:fs/promises'
import { waitUntil } from '@tidemark/local'
import { type Position, parseLsn, position, roundDownInPageHeader, type Source } from '@tidemark/protocol'
import type { Product } from '@tidemark/storefront'
import pg from 'pg'

const SCHEMA = new URL('../../../services/storefront/schema.sql', import.meta.url)
const DATABASE = 'tidemark_demo'
const DROP_TIMEOUT_MS = 20_000
const CONNECTIONS = 8

export const FIRST_PRICE_CENTS = 1_999

/** The URL of the shop's database on a server. */
export function shopUrl(serverUrl: string): string {
  const url = new URL(serverUrl)
  url.pathname = `/${DATABASE}`
  return url.href
}

export function shopPool(serverUrl: string): pg.Pool {
  const pool = new pg.Pool({ connectionString: shopUrl(serverUrl), max: CONNECTIONS, application_name: 'demo' })
  // A server that is stopped under an idle connection is an event; the query in hand is rejected too.
  pool.on('error', () => undefined)
  return pool
}

/** Makes the shop's database, with the schema of the storefront and that many products at one price. */
export async function createShop(serverUrl: string, pool: pg.Pool, products: number): Promise<void> {
  await onServer(serverUrl, (admin) => admin.query(`create database ${DATABASE}`))
  await pool.query(await readFile(SCHEMA, 'utf8'))
  await pool.query(`insert into product (name) select 'Lamp no. ' || i from generate_series(1, $1::int) i`, [products])
  await pool.query('insert into price select id, $1 from product', [FIRST_PRICE_CENTS])
}

/** Leaves a server that was there before as it was: a slot that nobody reads would keep its log for ever. */
export async function dropShop(serverUrl: string, source: Source): Promise<void> {
  const drop =
    'select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1 and not active'
  const exists = 'select from pg_replication_slots where slot_name = $1'
  await onServer(serverUrl, async (admin) => {
    const isGone = async () => {
      await admin.query(drop, [source.slot])
      return (await admin.query(exists, [source.slot])).rowCount === 0
    }
    await waitUntil('the slot is dropped', isGone, { timeoutMs: DROP_TIMEOUT_MS })
    await admin.query(`drop database if exists ${DATABASE} with (force)`)
  })
}

async function onServer(serverUrl: string, work: (admin: pg.Client) => Promise<unknown>): Promise<void> {
  const admin = new pg.Client(serverUrl)
  await admin.connect()
  try {
    await work(admin)
  } finally {
    await admin.end()
  }
}

/** Where the primary's log ends now: what is committed by now lies before it. */
export async function endOfLog(pool: pg.Pool, source: Source): Promise<Position> {
  const { rows } = await pool.query<{ lsn: string; segment: string; epoch: number }>(
    `select pg_current_wal_insert_lsn()::text as lsn, pg_size_bytes(current_setting('wal_segment_size'))::text as segment,
       (select max(epoch) from tidemark.epoch where source = $1) as epoch`,
    [source.name],
  )
  const { lsn, segment, epoch } = rows[0]!
  return position(epoch, roundDownInPageHeader(parseLsn(lsn), Number(segment)))
}

/** Whether the replica has replayed all that is in the primary's log now. */
export async function replicaHasCaughtUp(primary: pg.Pool, replica: pg.Pool): Promise<boolean> {
  const { rows } = await primary.query<{ lsn: string }>('select pg_current_wal_lsn()::text as lsn')
  const answer = await replica.query<{ reached: boolean }>('select pg_last_wal_replay_lsn() >= $1::pg_lsn as reached', [
    rows[0]!.lsn,
  ])
  return answer.rows[0]!.reached
}

export async function priceIn(pool: pg.Pool, id: number): Promise<number | undefined> {
  const { rows } = await pool.query<{ cents: number }>('select cents from price where product_id = $1', [id])
  return rows[0]?.cents
}

export async function setPriceIn(pool: pg.Pool, id: number, cents: number): Promise<void> {
  await pool.query('update price set cents = $2 where product_id = $1', [id, cents])
}

export async function allProducts(pool: pg.Pool): Promise<ReadonlyMap<number, Product>> {
  const { rows } = await pool.query<Product>(
    'select id, name, cents as "priceCents" from product join price on product_id = id',
  )
  return new Map(rows.map((product) => [product.id, product]))
}
