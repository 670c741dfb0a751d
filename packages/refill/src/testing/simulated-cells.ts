import type { Cell, Guard, LeaseResult, Sight, View } from '@tidemark/guard'
import type { Position } from '@tidemark/protocol'
import type { SimulatedShop } from './simulated-shop.ts'

type Stored = Pick<Cell, 'label' | 'loadedAt' | 'payload'>

/** What a reader asks of a partition's guard. */
type AskedOf = Pick<Guard, 'lookMany' | 'view' | 'require' | 'lease' | 'fill' | 'release'>

/**
 * The region's cells at a simulated shop, under the guard's rules: what lacks a change that the pipeline has told of is
 * live no more, and is retained; nothing that lacks one is stored. The shop's tape says who else has a lease, and when a
 * view has a gap. The world goes on between any two commands.
 */
export class SimulatedCells {
  readonly #shop: SimulatedShop
  readonly #numberOf: (key: string) => number
  readonly #stored = new Map<string, Stored>()

  /** @param numberOf a key's number at the shop */
  constructor(shop: SimulatedShop, numberOf: (key: string) => number) {
    this.#shop = shop
    this.#numberOf = numberOf
  }

  /** Of the partition that is a key's alone. */
  guardOf(key: string): Guard {
    const asked: AskedOf = {
      lookMany: async (keys) => ({ sights: keys.map((one) => this.#look(one)), malformed: 0 }),
      view: async () => this.#look(key).view,
      require: async (keys) => {
        this.#shop.pass()
        const required = keys.map((one) => this.#required(one.key))
        return { code: 'required', view: this.#shop.view(this.#numberOf(key)), required }
      },
      lease: async (one, _, __, ___, unusable) => this.#lease(one, unusable),
      fill: async (one, _, __, { label, loadedAt, payload }) => {
        this.#shop.pass()
        if (label.low < this.#required(one)) return { code: 'stale', required: this.#required(one) }
        if (label.low < (this.#stored.get(one)?.label.low ?? label.low)) return { code: 'older' }
        this.#stored.set(one, { label, loadedAt, payload })
        return { code: 'stored' }
      },
      release: async () => undefined,
    }
    return asked as Guard
  }

  #look(key: string): Sight {
    this.#shop.pass()
    const stored = this.#stored.get(key)
    const state = stored && stored.label.low >= this.#required(key) ? 'live' : 'stale'
    return { view: this.#view(key), cell: stored ? { state, ...stored } : null }
  }

  #view(key: string): View {
    const view = this.#shop.view(this.#numberOf(key))
    return this.#shop.next() % 40 === 39 ? { ...view, gap: 'lost' } : view
  }

  #lease(key: string, unusable: Position | null): LeaseResult {
    this.#shop.pass()
    const low = this.#stored.get(key)?.label.low
    if (low !== undefined && low >= this.#required(key) && low !== unusable) return { code: 'changed' }
    if (this.#shop.next() % 8 === 7) return { code: 'busy', ms: 1 }
    return { code: 'granted', ...this.#shop.lease(this.#numberOf(key)) }
  }

  #required(key: string): Position {
    return this.#shop.lease(this.#numberOf(key)).required
  }
}
