import { type Product, SESSION_HEADER } from '@tidemark/storefront'

/** What the shop answered, and how much it knows of it. */
export interface ShopReading {
  readonly value: Product
  readonly freshness: 'fresh' | 'stale'
  readonly from: string
}

const TIMEOUT_MS = 10_000

/** A customer of one region's shop. */
export class ShopClient {
  readonly url: string
  readonly #signal: AbortSignal

  constructor(url: string, signal: AbortSignal) {
    this.url = url
    this.#signal = signal
  }

  async read(id: number, token?: string): Promise<ShopReading> {
    const response = await this.#fetch(`/product/${id}`, { headers: token ? { [SESSION_HEADER]: token } : {} })
    return (await response.json()) as ShopReading
  }

  /** Returns the token of the session that wrote. */
  async setPrice(id: number, priceCents: number): Promise<string> {
    const response = await this.#fetch(`/product/${id}/price`, {
      method: 'PUT',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ priceCents }),
    })
    const token = response.headers.get(SESSION_HEADER)
    if (token === null) throw new Error('the shop handed no session back')
    return token
  }

  async #fetch(path: string, init: RequestInit): Promise<Response> {
    const signal = AbortSignal.any([this.#signal, AbortSignal.timeout(TIMEOUT_MS)])
    const response = await fetch(`${this.url}${path}`, { ...init, signal })
    if (response.ok) return response
    throw new Error(`the shop answers ${response.status} to ${path}: ${await response.text()}`)
  }
}
