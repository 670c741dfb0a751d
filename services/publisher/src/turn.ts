import {
  endBackend,
  lockOpening,
  readServerFacts,
  readSlot,
  type ServerFacts,
  type SlotState,
  unlockOpening,
} from '@tidemark/postgres'
import { isTidemarkError, type Source, TidemarkError } from '@tidemark/protocol'
import { cancellableSleep, withDeadline } from '@tidemark/service'
import type { Client } from 'pg'

export interface TurnOptions {
  readonly client: Client
  readonly source: Source
  readonly signal: AbortSignal
  /** The server's process of our last stream, if there was one: it may not have noticed yet that we are gone. */
  readonly previousBackend: number | undefined
  /** How long we may ask nothing of Postgres while we hold the turn. */
  readonly maxIdleMs: number
  /** Called each time that the turn is another's. */
  readonly onStandby: (why: TidemarkError) => void
}

/** Whose turn it is may open the source: nobody streams from its slot, and nobody else is opening it. */
export interface Turn {
  readonly server: ServerFacts
  readonly slot: SlotState | undefined
}

const POLL_MS = 1_000
const ASK_TIMEOUT_MS = 10_000

/**
 * Waits, as a warm standby, until no other publisher has the source; asks about every second, by chance a little more or
 * less, so that two standbys do not keep meeting. Bounded by `signal` alone: to wait is what a standby is for.
 */
export async function waitForTurn(options: TurnOptions): Promise<Turn> {
  for (;;) {
    try {
      return await withDeadline(takeTurn(options), ASK_TIMEOUT_MS, 'no answer from Postgres about the slot')
    } catch (error) {
      if (!isTidemarkError(error, 'SLOT_ACTIVE')) throw error
      options.onStandby(error)
    }
    await cancellableSleep(POLL_MS * (0.75 + Math.random() / 2), options.signal)
  }
}

async function takeTurn(options: TurnOptions): Promise<Turn> {
  const { client, source } = options
  const server = await readServerFacts(client)
  // A process that freezes in the middle of an opening keeps its connection, and with it the lock, for as long as its
  // machine's kernel answers: the server is told to end a session that asks nothing for too long.
  await client.query(`set idle_session_timeout = ${options.maxIdleMs}`)
  await lockOpening(client, source)
  const slot = await readSlot(client, source)
  if (slot && slot.activePid !== null) {
    await unlockOpening(client)
    if (slot.activePid === options.previousBackend) await endBackend(client, source, slot.activePid)
    throw new TidemarkError('SLOT_ACTIVE', `process ${slot.activePid} of the server streams from slot ${source.slot}`)
  }
  return { server, slot }
}

/** Gives the turn back: what keeps others away from now on is that we stream from the slot. */
export async function endTurn(client: Client): Promise<void> {
  await unlockOpening(client)
  await client.query('reset idle_session_timeout')
}
