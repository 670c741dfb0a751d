import { waitUntil } from '@tidemark/local'
import { replicaHasCaughtUp } from './shop-database.ts'
import type { Stage } from './stage.ts'

const SETTING_TIMEOUT_MS = 10_000
const CATCH_UP_TIMEOUT_MS = 30_000

/** Returns once the replica has taken the setting; without a delay, once it has caught up too. */
export async function lagBehind({ primary, replica, signal }: Stage, delayMs: number): Promise<void> {
  await replica.query(`alter system set recovery_min_apply_delay = '${delayMs}ms'`)
  await replica.query('select pg_reload_conf()')
  const isSet = async () => {
    const { rows } = await replica.query<{ ms: number }>(
      `select setting::int as ms from pg_settings where name = 'recovery_min_apply_delay'`,
    )
    return rows[0]?.ms === delayMs
  }
  await waitUntil('the replica takes its delay', isSet, { timeoutMs: SETTING_TIMEOUT_MS, signal })
  if (delayMs > 0) return
  const wait = { timeoutMs: CATCH_UP_TIMEOUT_MS, signal }
  await waitUntil('the replica catches up', () => replicaHasCaughtUp(primary, replica), wait)
}
