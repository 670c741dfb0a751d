import type { Guard } from '@tidemark/guard'
import { type Keyspace, type Source, TidemarkError } from '@tidemark/protocol'
import { emit } from '../events.ts'
import { isKept, type Memory } from '../memory/memory.ts'
import type { Sources } from '../sources/sources.ts'
import type { Timings } from '../timings.ts'
import type { ValueCodec } from '../value/value-codec.ts'
import type { AnnouncedEpoch } from './announced-epoch.ts'
import type { Calls } from './calls.ts'
import { PassedBy } from './redis-circuit.ts'
import type { Refreshes } from './refreshes.ts'
import type { Router } from './route.ts'

/** What a cache uses of the Tidemark that it belongs to. */
export interface CacheHost {
  readonly source: Source
  readonly region: string
  readonly sources: Sources
  readonly timings: Timings
  readonly values: ValueCodec
  readonly announced: AnnouncedEpoch
  readonly refreshes: Refreshes
  readonly calls: Calls
  /** What this process holds itself. */
  readonly memory: Memory | null
  /** To another region, for what this one cannot show. */
  readonly route: Router | null
  guardOf(key: string): Guard
}

/** What all that is done for a keyspace shares: its host, whom it tells, and how long Redis may take. */
export class KeyspaceScope {
  readonly host: CacheHost
  readonly keyspace: Keyspace
  /** Null where nothing of the keyspace is held. */
  readonly memory: Memory | null
  #toldMisfit = false

  constructor(host: CacheHost, keyspace: Keyspace) {
    this.host = host
    this.keyspace = keyspace
    this.memory = isKept(keyspace) ? host.memory : null
  }

  /** Redis may be away, or refuse: null then, and what asked goes on without it. Its circuit bounds the time. */
  async redis<T>(command: () => Promise<T>): Promise<T | null> {
    try {
      return await command()
    } catch (error) {
      if (!(error instanceof PassedBy)) this.emit({ event: 'redisFailed', error })
      return null
    }
  }

  /** Told once: what is wrong is wrong with the load, and each load of it is counted by its outcome. */
  tellMisfit(what: string): void {
    if (this.#toldMisfit) return
    this.#toldMisfit = true
    const message = `a value of keyspace ${this.keyspace.name} is not what its projection makes of the row: ${what}`
    const mend = 'Let the load return just what the projection gives, or mend the projection'
    this.emit({ event: 'misfit', error: new TidemarkError('VALUE_UNCACHEABLE', message, { mend }) })
  }

  emit(event: EventOfKeyspace): void {
    const { source, region } = this.host
    emit({ source: source.name, region, keyspace: this.keyspace.name, ...event })
  }
}

type WithoutCommon<E> = E extends { keyspace: string } ? Omit<E, 'source' | 'region' | 'keyspace'> : never
type EventOfKeyspace = WithoutCommon<Parameters<typeof emit>[0]>
