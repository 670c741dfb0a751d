import type { Fill, Partition, Server, Session, State, Topic, View } from './state.ts'

// Taken out of the global object once: a look-up there is slow where tests run.
const { imul } = Math

/** One state as bytes: the longest is some 400. */
const bytes = new Uint8Array(4096)
let length = 0

function put(...numbers: readonly number[]): void {
  for (const n of numbers) bytes[length++] = n
}

/** A set of states by 64 bits of each. */
export class StateSet {
  #slots = 1 << 16
  #high = new Int32Array(this.#slots)
  #low = new Int32Array(this.#slots)
  size = 0

  /** False when it was there. */
  add(s: State): boolean {
    length = 0
    putState(s)
    let [h, l] = [0x9e3779b9 | 0, 0x85ebca6b | 0]
    for (let i = 0; i < length; i++) {
      h = imul(h ^ bytes[i]!, 0x01000193)
      l = imul(l ^ bytes[i]!, 0x5bd1e995)
      l ^= l >>> 15
      h = (h << 13) | (h >>> 19)
    }
    h = imul(h ^ (h >>> 16), 0x85ebca6b)
    l = imul(l ^ (l >>> 13) ^ h, 0xc2b2ae35)
    h ^= h >>> 13
    l ^= l >>> 16
    if (!this.#insert(h, l || 1)) return false
    if (++this.size * 3 > this.#slots * 2) this.#grow()
    return true
  }

  #insert(h: number, l: number): boolean {
    const mask = this.#slots - 1
    for (let at = h & mask; ; at = (at + 1) & mask) {
      if (this.#low[at] === 0) {
        this.#low[at] = l
        this.#high[at] = h
        return true
      }
      if (this.#low[at] === l && this.#high[at] === h) return false
    }
  }

  #grow(): void {
    const [high, low] = [this.#high, this.#low]
    this.#slots *= 2
    this.#high = new Int32Array(this.#slots)
    this.#low = new Int32Array(this.#slots)
    for (const [i, l] of low.entries()) if (l !== 0) this.#insert(high[i]!, l)
  }
}

function putState(s: State): void {
  const { epoch, recorded, next, confirmed, told, beat, phase } = s.publisher
  put(s.abandoned ? 1 : 0, s.abandonedEpoch, s.shared, s.acknowledged, s.filled, s.commits, s.faults, s.copy ? 1 : 0)
  put(epoch, recorded, next, confirmed, told, beat, phase.charCodeAt(0))
  for (const server of [s.primary, s.replica, ...(s.abandoned ? [s.abandoned] : [])]) putServer(server)
  for (const topic of s.topics) putTopic(topic)
  for (const partition of [...s.redis, ...(s.copy ?? [])]) putPartition(partition)
  for (const fill of s.fills) putFill(fill)
  putSession(s.session)
}

function putServer({ timeline, log, visible, says }: Server): void {
  put(timeline, visible, says, log.length)
  for (const { id, keys, epoch } of log) put(id, keys, epoch)
}

function putTopic({ base, records, sent, floor, told }: Topic): void {
  put(base, sent, floor, told, records.length)
  for (const record of records) {
    put(record.type.charCodeAt(0), record.at)
    if (record.type === 'event') put(record.id, record.row)
    if (record.type === 'watermark') put(record.beat)
  }
}

function putPartition({ view, cell, lease, applied, losses }: Partition): void {
  put(applied, losses, view ? 1 : 0, cell ? 1 : 0, lease ? 1 : 0)
  if (view) putView(view)
  if (cell) put(cell.low, cell.high, cell.value, cell.loadedAt)
  if (lease) put(lease.holder, lease.required)
}

function putView({ epoch, watermark, newest, floor, horizon, tombstone, gap, next, beat }: View): void {
  put(epoch, watermark, newest, floor, horizon, tombstone, gap ? 1 : 0, next, beat)
}

const SOURCES: readonly Fill['from'][] = ['nobody', 'replica', 'primary', 'abandoned', 'promoted']
const STEPS: readonly Fill['step'][] = ['leased', 'labelled', 'read', 'ready']

function putFill(fill: Fill | null): void {
  put(fill ? 1 : 0)
  if (!fill) return
  const { key, from, required, granted, step, low, high, value, loadedAt, watermark, beat } = fill
  put(key, SOURCES.indexOf(from), required, granted, STEPS.indexOf(step), low, high, value, loadedAt, watermark, beat)
  putSession(fill.session)
}

function putSession({ own, seen, wrote, saw }: Session): void {
  put(own, seen, wrote, saw)
}
