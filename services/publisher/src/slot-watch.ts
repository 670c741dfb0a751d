import { connect, disconnect, oldestHolder, readSlotHealth, type SlotHealth } from '@tidemark/postgres'
import type { Source } from '@tidemark/protocol'
import { cancellableSleep, type Logger, outageLevel, retrying, withDeadline } from '@tidemark/service'
import type { Client } from 'pg'
import { CLIENT } from './client-name.ts'
import { alarmOf, SlotAlarm } from './slot-alarm.ts'

export interface SlotWatchOptions {
  readonly url: string
  readonly source: Source
  readonly signal: AbortSignal
  readonly log: Logger
  /** Undefined while it is not known. */
  readonly onHealth: (health: SlotHealth | undefined) => void
}

const WATCH_MS = 2_000
const ANSWER_TIMEOUT_MS = 5_000
const RETRY = { minDelayMs: 1_000, maxDelayMs: 10_000 }

/**
 * Watches what the server keeps for the slot, on a connection of its own, until `signal` is aborted: whatever the rest
 * is doing, waiting for Kafka or for another publisher, the server goes on writing, and gives the slot up one day.
 */
export async function watchSlot(options: SlotWatchOptions): Promise<void> {
  const { signal, log, onHealth } = options
  const alarm = new SlotAlarm(log)
  const onRetry = ({ error, outageMs }: { error: unknown; outageMs: number }) => {
    onHealth(undefined)
    log[outageLevel(outageMs)]({ err: error, outageMs }, 'the slot cannot be watched')
  }
  try {
    await retrying((healthy) => watchConnected(options, alarm, healthy), { ...RETRY, signal, onRetry })
  } catch (error) {
    onHealth(undefined)
    // Whatever speaks against watching speaks against streaming too, which ends the service.
    if (!signal.aborted) log.error({ err: error }, 'the slot is not watched any more')
  }
}

async function watchConnected(options: SlotWatchOptions, alarm: SlotAlarm, healthy: () => void): Promise<never> {
  const lost = new AbortController()
  const signal = AbortSignal.any([options.signal, lost.signal])
  const client = await connect(options.url, CLIENT, (error) => lost.abort(error))
  try {
    for (;;) {
      await withDeadline(look(client, options, alarm), ANSWER_TIMEOUT_MS, 'no answer about the slot from Postgres')
      healthy()
      await cancellableSleep(WATCH_MS, signal)
    }
  } finally {
    await disconnect(client)
  }
}

async function look(client: Client, { source, log, onHealth }: SlotWatchOptions, alarm: SlotAlarm): Promise<void> {
  const health = await readSlotHealth(client, source)
  onHealth(health)
  const found = health && alarmOf(health)
  if (!alarm.isDue(found, performance.now()) || !found || !health) return
  log[found.level]({ slot: source.slot, ...health, heldBy: await pinnedBy(client, health) }, found.what)
}

/**
 * Decoding begins where the oldest transaction that was running began: that one, and not the publisher, keeps what
 * lies between the restart position and the confirmed one.
 */
async function pinnedBy(client: Client, health: SlotHealth) {
  const isPinned = health.status === 'being-created' || health.retainedBytes > 2 * health.unconfirmedBytes
  return isPinned ? oldestHolder(client) : undefined
}
