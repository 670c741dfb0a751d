/**
 * The step boundaries at which a publisher is killed, and up to which time of passing each is worth killing at.
 * `crash-preload.ts` finds them in the running process.
 */
export const CRASH_POINTS = {
  'before the epoch’s row': 1,
  'after the epoch’s row': 1,
  'before the slot': 1,
  'after the slot': 1,
  'before the epoch’s start': 1,
  'after the epoch’s start': 1,
  'before the claim': 1,
  'after the claim': 1,
  'before the announcement': 1,
  'after the announcement': 1,
  'within a transaction’s receipt': 60,
  'after receipt': 30,
  'before produce': 8,
  'after produce': 8,
  'between two sends': 1,
  'before the acknowledgement': 8,
  'after the acknowledgement': 8,
  'before an idle watermark': 5,
  'after an idle watermark': 5,
  'before confirm': 8,
  'after confirm': 8,
} as const

export type CrashPoint = keyof typeof CRASH_POINTS

/** Passed by every start of a source until one has recorded where its epoch starts. */
export const OPENING = [
  'before the epoch’s row',
  'after the epoch’s row',
  'before the slot',
  'after the slot',
  'before the epoch’s start',
  'after the epoch’s start',
] as const satisfies readonly CrashPoint[]

/** Passed in every life, while there are writes. */
export const RECURRENT = (Object.keys(CRASH_POINTS) as CrashPoint[]).filter(
  (point) => !OPENING.some((opening) => opening === point),
)

/** Where a process ends itself: at the `hit`-th time that it passes the point. */
export interface Crash {
  readonly point: CrashPoint
  readonly hit: number
}

/** The environment variable that carries a crash to the process. */
export const CRASH_VARIABLE = 'TIDEMARK_TEST_CRASH'

export function encodeCrash({ point, hit }: Crash): string {
  return JSON.stringify({ point, hit })
}

/** Throws on what names no crash point: a process that cannot crash would pass for one that survived. */
export function decodeCrash(text: string): Crash {
  const { point, hit } = JSON.parse(text) as Partial<Crash>
  if (point === undefined || !Object.hasOwn(CRASH_POINTS, point)) throw new Error(`no crash point: ${text}`)
  if (!Number.isInteger(hit) || hit! < 1) throw new Error(`no number of times: ${text}`)
  return { point, hit: hit! }
}
