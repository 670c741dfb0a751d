import { randomBytes } from 'node:crypto'
import { DEFAULT_TOMBSTONE_LIMITS, encodePayload, Guard, partitionKeys } from '@tidemark/guard'
import { localServers, type ServerUrls, waitUntil } from '@tidemark/local'
import {
  defineSource,
  keyFor,
  lsnOf,
  type Position,
  parseLsn,
  partitionOf,
  position,
  roundDownInPageHeader,
  type Version,
  version,
} from '@tidemark/protocol'
import { Redis } from 'ioredis'
import pg from 'pg'
import type { TidemarkOptions } from '../options.ts'
import { openTidemark } from '../tidemark.ts'
import type { Timings } from '../timings.ts'

const SCHEMA = `
  create schema tidemark;
  create table tidemark.epoch (source text, epoch integer, system_identifier text, timeline integer, start_lsn pg_lsn,
    slot text, opened_at timestamptz default now(), primary key (source, epoch));
  insert into tidemark.epoch select 'shop', 1, (select system_identifier::text from pg_control_system()),
    (select timeline_id from pg_control_checkpoint()), pg_current_wal_insert_lsn(), 'by-hand';
  create table product (id integer primary key, name text not null, cents integer not null);
  insert into product select i, 'product ' || i, 1999 from generate_series(1, 100) i;`

/** Bounds that a busy machine does not reach; a test that is about a bound gives its own. */
const PATIENT = {
  readMs: 60_000,
  loadMs: 60_000,
  leaseMs: 60_000,
  leaseWaitMs: 30_000,
  redisTimeoutMs: 10_000,
  replicaAnswerMs: 10_000,
}

/** No more patient with a server than with the call, the lease or the load that waits for it. */
function patientWithin(given: Partial<Timings>): Partial<Timings> {
  const { readMs, leaseMs, loadMs } = { ...PATIENT, ...given }
  const redisTimeoutMs = Math.min(PATIENT.redisTimeoutMs, readMs - 1, leaseMs - 1)
  return { ...PATIENT, redisTimeoutMs, replicaAnswerMs: Math.min(PATIENT.replicaAnswerMs, loadMs - 1) }
}
const PATIENT_CONTRACT = { maxStalenessMs: 60_000 }

const SEGMENT_BYTES = 16 * 1024 * 1024

export interface Product {
  readonly id: number
  readonly cents: number
}

export const PRODUCT = 'select id, cents from product where id = $1'

/** A shop's database with its replica and a Redis of its own keys; the test plays the worker, by the guard. */
export class ShopContext implements AsyncDisposable {
  readonly source
  readonly redis: Redis
  readonly primary: pg.Pool
  readonly replica: pg.Pool
  readonly #resources: AsyncDisposableStack
  #offset = 0n

  private constructor(
    keyspace: object,
    redis: Redis,
    primary: pg.Pool,
    replica: pg.Pool,
    resources: AsyncDisposableStack,
  ) {
    this.source = defineSource({
      name: 'shop',
      partitions: 1,
      keyPrefix: `tm-${randomBytes(4).toString('hex')}`,
      keyspaces: {
        product: {
          key: 'product:{id}',
          tables: { 'public.product': { id: 'id' } },
          ...keyspace,
        },
      },
    })
    this.redis = redis
    this.primary = primary
    this.replica = replica
    this.#resources = resources
  }

  /**
   * @param servers the run's, or a test's own where it stops or pauses them
   * @param projection of a keyspace that is updated in place
   */
  static async open(
    contract: object = {},
    servers: Partial<ServerUrls> = {},
    projection?: object,
  ): Promise<ShopContext> {
    await using resources = new AsyncDisposableStack()
    const { primaryUrl, replicaUrls, redisUrls } = { ...localServers(), ...servers }
    const database = `refill_${randomBytes(4).toString('hex')}`
    const admin = resources.adopt(new pg.Pool({ connectionString: primaryUrl, max: 1 }), (pool) => pool.end())
    await admin.query(`create database ${database}`)
    resources.defer(async () => {
      await admin.query(`drop database ${database} with (force)`)
    })
    const primary = resources.adopt(poolOf(primaryUrl, database), (pool) => pool.end())
    const replica = resources.adopt(poolOf(replicaUrls['eu-west']!, database), (pool) => pool.end())
    const redis = resources.adopt(new Redis(redisUrls['eu-west']!, { enableOfflineQueue: true }), (client) =>
      client.disconnect(),
    )
    await primary.query(SCHEMA)
    const keyspace = { contract: { ...PATIENT_CONTRACT, ...contract }, ...(projection && { projection }) }
    const context = new ShopContext(keyspace, redis, primary, replica, resources.move())
    await context.replicaCaughtUp()
    return context
  }

  open(options: Partial<TidemarkOptions<{ product: 'product:{id}' }>> = {}) {
    const { source, redis, primary } = this
    return openTidemark({
      source,
      redis,
      primary,
      replicas: [{ name: 'eu-1', pool: this.replica }],
      ...options,
      timings: { ...patientWithin(options.timings ?? {}), ...options.timings },
    })
  }

  guard(): Guard {
    return new Guard(this.redis, partitionKeys(this.source.keyPrefix, 0))
  }

  key(id: number): string {
    const key = keyFor(this.source.keyspaces.product.template, { id })
    if (partitionOf(key, 1) !== 0) throw new Error('one partition')
    return key
  }

  /** Where the primary's log ends now. */
  async here(epoch = 1): Promise<Position> {
    const { rows } = await this.primary.query<{ lsn: string }>('select pg_current_wal_insert_lsn()::text as lsn')
    return position(epoch, roundDownInPageHeader(parseLsn(rows[0]!.lsn), SEGMENT_BYTES))
  }

  /** Opens the view and closes its gap at the end of the log, which a replica must have reached from then on. */
  async trust(): Promise<Position> {
    await this.openView()
    const watermark = await this.beat()
    await this.replicaCaughtUp()
    return watermark
  }

  /** Trusts nothing until the next beat. */
  async openView(): Promise<void> {
    await this.guard().declareGap(this.#offset, 'first start', null, 0)
  }

  /** Applies a watermark at the end of the log, or at the given position. */
  async beat(at?: Position, beatMs = Date.now()): Promise<Position> {
    const watermark = { position: at ?? (await this.here()), beatMs }
    await this.#apply({ watermark })
    return watermark.position
  }

  async invalidate(id: number, version: Version): Promise<void> {
    await this.#apply({
      events: [{ key: this.key(id), version, retainStaleMs: this.source.keyspaces.product.contract.retainStaleMs }],
    })
  }

  /** As a worker applies an event that carries its row. */
  async update(id: number, version: Version, row: object): Promise<void> {
    const update = {
      keyspace: 'product',
      payload: encodePayload({ body: Buffer.from(JSON.stringify(row)), storedAt: Date.now() }),
      ttlMs: 60_000,
    }
    await this.#apply({ events: [{ key: this.key(id), version, retainStaleMs: 0, update }] })
  }

  async floor(keyspace: string, at: Position): Promise<void> {
    await this.#apply({ floors: [{ keyspace, position: at }] })
  }

  async #apply(part: object): Promise<void> {
    const from = this.#offset
    this.#offset += 1n
    const batch = { from, next: this.#offset, epochStart: null, floors: [], events: [], watermark: null, ...part }
    const result = await this.guard().apply(batch, DEFAULT_TOMBSTONE_LIMITS)
    if (result.code !== 'applied') throw new Error(`apply answered ${result.code}`)
  }

  /** Sets a price; the version is the last before the end of the log, since the test does not decode it. */
  async setPrice(id: number, cents: number): Promise<Version> {
    await this.primary.query('update product set cents = $2 where id = $1', [id, cents])
    return version(1, lsnOf(await this.here()) - 1n)
  }

  async replicaCaughtUp(): Promise<void> {
    const wanted = await this.here()
    await waitUntil(
      'the replica has replayed',
      async () => {
        const { rows } = await this.replica.query<{ lsn: string }>('select pg_last_wal_replay_lsn()::text as lsn')
        return position(1, parseLsn(rows[0]!.lsn)) >= wanted
      },
      { timeoutMs: 20_000 },
    )
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}

function poolOf(url: string, database: string): pg.Pool {
  const at = new URL(url)
  at.pathname = `/${database}`
  const pool = new pg.Pool({ connectionString: at.href, max: 8 })
  pool.on('error', () => undefined) // its database is dropped under its idle connections, at the end
  return pool
}
