import { TidemarkError } from '@tidemark/protocol'

/** The answer, or DEADLINE_EXCEEDED after `ms`; what comes later is dropped. */
export function inTime<T>(answer: Promise<T>, ms: number, who: string): Promise<T> {
  return new Promise((resolve, reject) => {
    const late = () => reject(new TidemarkError('DEADLINE_EXCEEDED', `${who} did not answer within ${ms} ms`))
    const timer = setTimeout(late, ms)
    answer.then(resolve, reject).finally(() => clearTimeout(timer))
  })
}
