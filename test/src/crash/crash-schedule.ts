import { between, pick, type Random } from '../seeded-random.ts'
import { CRASH_POINTS, type Crash, type CrashPoint, OPENING, RECURRENT } from './crash-points.ts'

/** The crashes of one source's publishers, one life after the other; the life after the last one is not killed. */
export type Schedule = readonly Crash[]

const KILLS_IN_OPENING = 2
const KILLS_AFTERWARDS = 3

/** So many schedules pass every crash point, whatever the seed. */
export const FULL_DECK = Math.max(OPENING.length, Math.ceil(RECURRENT.length / KILLS_AFTERWARDS))

/**
 * Random schedules that draw their points from shuffled decks, so that each point comes up as often as any other.
 */
export function schedulesOf(random: Random, count: number): Schedule[] {
  const opening = new Deck(random, OPENING)
  const recurrent = new Deck(random, RECURRENT)
  return Array.from({ length: count }, () => {
    const afterwards = Array.from({ length: KILLS_AFTERWARDS }, () => recurrent.draw())
    const points = [...openingPoints(random, opening.draw()), ...afterwards]
    return points.map((point) => ({ point, hit: between(random, 1, CRASH_POINTS[point]) }))
  })
}

/** The point, and perhaps others that the lives after it still pass before an epoch's start is recorded. */
function openingPoints(random: Random, first: CrashPoint): CrashPoint[] {
  const points = [first]
  while (points.at(-1) !== 'after the epoch’s start' && points.length < KILLS_IN_OPENING && random() < 0.5) {
    points.push(pick(random, OPENING))
  }
  return points
}

class Deck {
  readonly #random: Random
  readonly #points: readonly CrashPoint[]
  #left: CrashPoint[] = []

  constructor(random: Random, points: readonly CrashPoint[]) {
    this.#random = random
    this.#points = points
  }

  draw(): CrashPoint {
    if (this.#left.length === 0) this.#left = [...this.#points]
    return this.#left.splice(Math.floor(this.#random() * this.#left.length), 1)[0]!
  }
}
