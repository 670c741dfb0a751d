import { isTidemarkError, type TidemarkError } from '@tidemark/protocol'
import { type Logger, pino, stdSerializers } from 'pino'
import { redactUrls } from './redaction.ts'

export type { Logger } from 'pino'

/**
 * A structured log on standard output: `log.info({ … }, 'a sentence')`. Passwords in URLs are taken out of the
 * finished line, wherever they stood: drivers put them into the messages of their errors.
 */
export function serviceLog(name: string, level: string): Logger {
  return pino({
    name,
    level,
    redact: { paths: ['password', 'secret', 'token', '*.password', '*.secret', '*.token'], censor: '***' },
    serializers: { err: describeError },
    hooks: { streamWrite: redactUrls },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
  })
}

/** A coded error says what an operator needs; its stack says nothing more. Any other keeps its stack. */
function describeError(error: unknown): unknown {
  if (isTidemarkError(error)) return describeCoded(error)
  return error instanceof Error ? stdSerializers.err(error) : error
}

function describeCoded(error: TidemarkError): object {
  const cause = error.cause instanceof Error ? error.cause.message : error.cause
  return { code: error.code, message: error.message, retriable: error.retriable, ...(cause ? { cause } : {}) }
}
