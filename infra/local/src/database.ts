import { waitUntil } from './wait.ts'

/** A client or a pool of pg. */
interface Queryable {
  query(sql: string, values?: unknown[]): Promise<unknown>
}

/** Drops a test's database with its slots, once the server has noticed that nobody streams from them any more. */
export async function dropDatabase(admin: Queryable, name: string): Promise<void> {
  await waitUntil(
    `the slots of ${name} are gone`,
    async () => {
      await admin.query(
        'select pg_drop_replication_slot(slot_name) from pg_replication_slots where database = $1 and not active',
        [name],
      )
      await admin.query(`drop database if exists ${name} with (force)`)
      return true
    },
    { timeoutMs: 20_000, everyMs: 200 },
  )
}
