import type { Repair } from '@tidemark/guard'
import type { KafkaRecord } from '@tidemark/kafka'
import {
  decodeRecord,
  isTidemarkError,
  maxPosition,
  type Position,
  retentionMs,
  type Source,
  type TidemarkRecord,
} from '@tidemark/protocol'

/** What records say that can only make a region fresher: their events and floors. Watermarks are for workers. */
export interface Repairs extends Repair {
  /** Records that cannot be decoded. A worker declares a gap there. */
  readonly unreadable: number
}

/**
 * Folds records to the newest event of each key and the highest floor of each keyspace.
 *
 * @param keyspace the only one that is to be repaired; the start of an epoch, the floor of all, is then that one's
 */
export function repairsOf(records: readonly KafkaRecord[], source: Source, keyspace: string | undefined): Repairs {
  const draft = new Draft(source, keyspace)
  for (const record of records) draft.add(record)
  return draft.finish()
}

class Draft {
  readonly #source: Source
  readonly #keyspace: string | undefined
  readonly #events = new Map<string, Repair['events'][number]>()
  readonly #floors = new Map<string, Position>()
  #epochStart: Position | null = null
  #unreadable = 0

  constructor(source: Source, keyspace: string | undefined) {
    this.#source = source
    this.#keyspace = keyspace
  }

  add({ key, value }: KafkaRecord): void {
    const record = this.#decode(key, value)
    if (record?.kind === 'event' && this.#isWanted(record.keyspace)) this.#addEvent(record)
    if (record?.kind === 'floor' && this.#isWanted(record.keyspace)) this.#addFloor(record.keyspace, record.position)
    if (record?.kind === 'epoch') this.#addEpoch(record.position)
  }

  finish(): Repairs {
    return {
      epochStart: this.#epochStart,
      floors: Array.from(this.#floors, ([keyspace, position]) => ({ keyspace, position })),
      events: [...this.#events.values()],
      unreadable: this.#unreadable,
    }
  }

  #decode(key: Buffer | null, value: Buffer | null): TidemarkRecord | undefined {
    try {
      return decodeRecord(key, value)
    } catch (error) {
      if (!isTidemarkError(error, 'RECORD_MALFORMED')) throw error
      this.#unreadable += 1
      return undefined
    }
  }

  #isWanted(keyspace: string): boolean {
    return this.#keyspace === undefined || this.#keyspace === keyspace
  }

  #addEvent({ key, keyspace, version }: TidemarkRecord & { kind: 'event' }): void {
    const known = this.#events.get(key)
    if (known && known.version >= version) return
    this.#events.set(key, { key, version, retainStaleMs: retainStaleMs(this.#source, keyspace) })
  }

  #addFloor(keyspace: string, position: Position): void {
    this.#floors.set(keyspace, maxPosition(position, this.#floors.get(keyspace) ?? position))
  }

  #addEpoch(start: Position): void {
    if (this.#keyspace !== undefined) this.#addFloor(this.#keyspace, start)
    else this.#epochStart = maxPosition(start, this.#epochStart ?? start)
  }
}

/** Of a keyspace that the source names no more nobody reads. */
function retainStaleMs({ keyspaces }: Source, name: string): number {
  return Object.hasOwn(keyspaces, name) ? retentionMs(keyspaces[name]!.contract) : 0
}
