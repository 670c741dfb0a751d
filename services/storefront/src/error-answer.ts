import { type ErrorCode, isTidemarkError } from '@tidemark/protocol'
import type { FastifyError, FastifyReply, FastifyRequest } from 'fastify'

const STATUS: Partial<Record<ErrorCode, number>> = {
  KEY_PARAMS_INVALID: 400,
  // Nothing is wrong with the request: the price cannot be proven, or not be read, just now.
  UNPROVABLE: 503,
  LOAD_FAILED: 503,
}

/** Answers a code where there is one, and never the text of an unforeseen error: it may hold what is in a row. */
export function answerError(error: FastifyError, request: FastifyRequest, reply: FastifyReply): void {
  const status = isTidemarkError(error) ? STATUS[error.code] : error.statusCode
  if (status === undefined || status >= 500) request.log.error({ err: error }, 'a request failed')
  if (status === 503) reply.header('retry-after', '1')
  const { code, message } = status === undefined ? { code: 'INTERNAL', message: 'the shop failed' } : error
  void reply.code(status ?? 500).send({ error: { code, message } })
}
