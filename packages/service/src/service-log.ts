import { isTidemarkError } from '@tidemark/protocol'
import { type DestinationStream, type Logger, pino } from 'pino'
import { redactUrls } from './redaction.ts'

export type { Logger } from 'pino'

/**
 * A structured log on standard output: `log.info({ … }, 'a sentence')`, an error as `{ err }`. Passwords in URLs are
 * taken out of the finished line, wherever they stood: drivers put them into the messages of their errors.
 */
export function serviceLog(name: string, level: string, destination?: DestinationStream): Logger {
  const options = {
    name,
    level,
    redact: { paths: ['password', 'secret', 'token', '*.password', '*.secret', '*.token'], censor: '***' },
    serializers: { err: (error: unknown) => describeError(error) },
    hooks: { streamWrite: redactUrls },
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
  }
  return destination ? pino(options, destination) : pino(options)
}

const MAX_CAUSES = 5

/**
 * Only what is named here: Redis errors carry the command's arguments and Postgres errors the row. A coded error says
 * what an operator needs and its stack says nothing more; any other keeps its stack.
 */
function describeError(error: unknown, depth = 0): unknown {
  if (!(error instanceof Error)) return String(error)
  return {
    type: error.name,
    ...('code' in error && { code: error.code }),
    message: error.message,
    ...(error instanceof AggregateError && {
      errors: error.errors.map((e) => (e instanceof Error ? e.message : `${e}`)),
    }),
    ...(!isTidemarkError(error) && { stack: error.stack }),
    ...(error.cause !== undefined && depth < MAX_CAUSES && { cause: describeError(error.cause, depth + 1) }),
  }
}
