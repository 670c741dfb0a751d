import type { Cell, Payload } from '@tidemark/guard'
import type { Keyspace } from '@tidemark/protocol'
import { dueAt } from '../value/early-refresh.ts'
import { isFrozen } from './frozen.ts'

/** A live cell as this process holds it. */
export interface Copy extends Omit<Cell, 'payload'> {
  readonly keyspace: string
  /** When its time to live is over, ms since 1970. */
  readonly endsAt: number
  readonly sizeBytes: number
  readonly content: Content
}

/** A value that is frozen, and the same for all; or what is decoded anew for each reader. */
export type Content =
  | { readonly shared: true; readonly value: unknown }
  | { readonly shared: false; readonly payload: Payload }

/**
 * A copy of a cell whose value was just decoded, to be handed to its reader, too. It lives until it is due to be loaded
 * anew, for only who looks in Redis does that; of the time that a writer's clock is ahead nothing is added.
 */
export function copyOf(cell: Cell, keyspace: Keyspace, payload: Payload, value: unknown, now: number): Copy {
  const storedAt = Math.min(now, payload.storedAt)
  const isNegative = value === undefined || value === null
  return {
    state: cell.state,
    label: cell.label,
    loadedAt: cell.loadedAt,
    keyspace: keyspace.name,
    endsAt: dueAt({ ...payload, storedAt }, keyspace.contract, isNegative, Math.random()),
    sizeBytes: cell.payload.length,
    content: isFrozen(value) ? { shared: true, value } : { shared: false, payload: ownBytes(payload) },
  }
}

/** A client's buffers are slices of all that one read of its socket brought. */
function ownBytes(payload: Payload): Payload {
  const body = Buffer.alloc(payload.body.length)
  payload.body.copy(body)
  return { ...payload, body }
}
