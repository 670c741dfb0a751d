import { z } from 'zod'

/** Node's timers hold no more: what is longer is over at once. */
export const LONGEST_TIMER_MS = 2_147_483_647

/** A number that is a bound: with NaN or Infinity nothing would be bounded, and a text from the environment is none. */
export function whole(least: number, most: number = Number.MAX_SAFE_INTEGER) {
  const isWhole = (value: unknown) => Number.isSafeInteger(value) && Number(value) >= least && Number(value) <= most
  const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
  return z.custom<number>(isWhole, { error: ({ input }) => `must be a whole number ${range}, and is ${said(input)}` })
}

/** What is passed as it is, and has these methods. */
export function having<T>(what: string, ...methods: readonly (keyof T & string)[]) {
  const has = (value: unknown) =>
    typeof value === 'object' &&
    value !== null &&
    methods.every((name) => typeof Reflect.get(value, name) === 'function')
  return z.custom<T>(has, { error: `must be ${what}` })
}

/** Numbers alone are told: a text may be a secret that was put into the wrong place. */
function said(input: unknown): string {
  if (typeof input === 'number') return String(input)
  return typeof input === 'string'
    ? 'a text: make it one by Number()'
    : `of type ${input === null ? 'null' : typeof input}`
}
