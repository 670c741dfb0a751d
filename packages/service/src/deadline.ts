import { TidemarkError } from '@tidemark/protocol'

/**
 * The promise's result if it comes within `timeoutMs`, else DEADLINE_EXCEEDED. What was begun is not stopped: the
 * caller closes or aborts it, or it must be harmless.
 *
 * @param what is named in the message: `no answer from Kafka`
 */
export async function withDeadline<T>(promise: Promise<T>, timeoutMs: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => {
      reject(new TidemarkError('DEADLINE_EXCEEDED', `${what} within ${timeoutMs} ms`))
    }, timeoutMs)
  })
  try {
    return await Promise.race([promise, deadline])
  } finally {
    clearTimeout(timer)
  }
}
