import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { localServers } from '@tidemark/local'
import { redisAt } from '@tidemark/redis'
import { openTidemark } from '@tidemark/refill'
import { serviceLog } from '@tidemark/service'
import type { Pool } from 'pg'
import source from '../../tidemark.config.ts'
import { postgresPool, regionRedis } from '../servers.ts'
import { buildShop } from '../shop.ts'

const SCHEMA = new URL('../../schema.sql', import.meta.url)
// What a publisher leaves behind: without it nobody can say which history the primary belongs to.
const EPOCH = `create schema tidemark;
  create table tidemark.epoch (source text, epoch integer, system_identifier text, timeline integer, start_lsn pg_lsn);
  insert into tidemark.epoch select 'shop', 1, (select system_identifier::text from pg_control_system()),
    (select timeline_id from pg_control_checkpoint()), pg_current_wal_insert_lsn()`

/** A shop with a database of its own and, as no worker writes under its keys, without a view. For tests alone. */
export class ShopContext implements AsyncDisposable {
  readonly shop: ReturnType<typeof buildShop>
  readonly primary: Pool
  readonly #resources: AsyncDisposableStack

  private constructor(shop: ReturnType<typeof buildShop>, primary: Pool, resources: AsyncDisposableStack) {
    this.shop = shop
    this.primary = primary
    this.#resources = resources
  }

  static async open({ announced }: { announced: boolean }): Promise<ShopContext> {
    await using resources = new AsyncDisposableStack()
    const { primaryUrl, redisUrls } = localServers()
    const log = serviceLog('storefront-test', 'silent')
    const database = `shop_${randomBytes(4).toString('hex')}`
    const admin = resources.adopt(postgresPool('admin', primaryUrl, 1, log), (pool) => pool.end())
    await admin.query(`create database ${database}`)
    resources.defer(async () => {
      await admin.query(`drop database ${database} with (force)`)
    })
    const url = new URL(primaryUrl)
    url.pathname = `/${database}`
    const primary = resources.adopt(postgresPool('primary', url.href, 5, log), (pool) => pool.end())
    await primary.query(await readFile(SCHEMA, 'utf8'))
    await primary.query(`insert into product (name) values ('Lamp'), ('Chair'); insert into price values (1, 1999)`)
    if (announced) await primary.query(EPOCH)
    const redis = resources.adopt(regionRedis(redisAt(redisUrls['us-east']!), log), (client) => client.close())
    const tokenKeys = [{ id: 0, secret: 's'.repeat(32) }]
    const options = { source: { ...source, keyPrefix: database }, redis, primary, tokenKeys }
    const tidemark = resources.use(await openTidemark(options))
    const shop = buildShop({ tidemark, log })
    resources.defer(() => shop.close())
    return new ShopContext(shop, primary, resources.move())
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}
