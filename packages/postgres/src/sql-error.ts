import { type ErrorCode, isTidemarkError, TidemarkError } from '@tidemark/protocol'
import { tlsRefusal } from '@tidemark/service'

/** SQLSTATE, or its class, → our code. Whatever is not here is taken for a passing failure of the server. */
const CODE_OF_STATE: readonly (readonly [string, ErrorCode])[] = [
  ['28', 'SERVER_REFUSED'], // invalid authorization
  ['3D000', 'SERVER_REFUSED'], // no such database
  ['42501', 'SERVER_REFUSED'], // insufficient privilege
  ['55006', 'SLOT_ACTIVE'], // object in use
]

/** An error of the driver or the server, as one with a code. */
export function codedError(error: unknown, what: string): TidemarkError {
  if (isTidemarkError(error)) return error
  const mend = mendOf(error)
  if (mend) return new TidemarkError('SERVER_REFUSED', `${what}: ${messageOf(error)}`, { mend, cause: error })
  const state = sqlState(error) ?? ''
  const code = CODE_OF_STATE.find(([prefix]) => state.startsWith(prefix))?.[1] ?? 'SERVER_UNREACHABLE'
  return new TidemarkError(code, `${what}: ${messageOf(error)}`, { cause: error })
}

/** What to mend so that a connection with TLS comes about; undefined when it is not TLS that failed. */
function mendOf(error: unknown): string | undefined {
  // The driver has no code for this one.
  if ((error as Error | undefined)?.message === 'The server does not support SSL connections') {
    return 'Set ssl = on at the server, or sslmode=disable in the URL'
  }
  return tlsRefusal(error)
}

/** The SQLSTATE of a server's error, undefined for one of the socket or the driver. */
export function sqlState(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | undefined)?.code
  return typeof code === 'string' && /^[0-9A-Z]{5}$/.test(code) ? code : undefined
}

function messageOf(error: unknown): string {
  // Node wraps the refusals of both address families of a host name into one error without a message.
  if (error instanceof AggregateError) return error.errors.map(messageOf).join('; ')
  return error instanceof Error ? error.message : String(error)
}
