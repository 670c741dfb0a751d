import { type Cell, decodePayload } from '@tidemark/guard'
import type { Contract } from '@tidemark/protocol'

/** Whether a live value is there only to be served when its load fails. A malformed one is found out when it is decoded. */
export function isExpired({ payload }: Cell, { ttlMs, staleIfErrorMs }: Contract, now: number): boolean {
  return staleIfErrorMs > 0 && now - storedAtOf(payload) > ttlMs
}

function storedAtOf(payload: Buffer): number {
  try {
    return decodePayload(payload).storedAt
  } catch {
    return Number.POSITIVE_INFINITY
  }
}
