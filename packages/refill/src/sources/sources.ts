import { setTimeout as sleep } from 'node:timers/promises'
import type { Demand } from '@tidemark/guard'
import { lsnOf, type Position, satisfies } from '@tidemark/protocol'
import { emit } from '../events.ts'
import type { Timings } from '../timings.ts'
import type { ConnectionPool } from './database.ts'
import { type Load, type Loaded, loadFromPrimary, loadFromReplica } from './labelled-load.ts'

export interface Replica {
  readonly name: string
  readonly pool: ConnectionPool
}

/** What the lease says, and what the reader asks beyond it. */
export interface Requirement {
  readonly required: Position
  readonly granted: Position
  readonly demand: Demand | null
}

export interface FromSource<Value> {
  readonly from: string
  readonly loaded: Loaded<Value>
}

interface Servers {
  readonly source: string
  readonly region: string
  readonly primary: ConnectionPool
  readonly replicas: readonly Replica[]
  readonly statement: string
  readonly timings: Timings
}

const PRIMARY = 'primary'

/**
 * Where values are loaded from: the replicas in their order, then the primary. Only the key's own past is required
 * of a replica, so one that is behind the watermark may still fill a key that has not changed lately.
 */
export class Sources {
  readonly #servers: Servers

  constructor(servers: Servers) {
    this.#servers = servers
  }

  /** A labelled load under a lease. Throws what the primary threw when no source could answer. */
  async load<Value>(
    keyspace: string,
    load: Load<Value>,
    need: Requirement,
    replicasMayServe: boolean,
  ): Promise<FromSource<Value>> {
    for (const replica of replicasMayServe ? this.#servers.replicas : []) {
      const loaded = await this.#tryReplica(keyspace, replica, load, need)
      if (loaded) return { from: replica.name, loaded }
    }
    return this.loadFromPrimary(load, need.granted)
  }

  async loadFromPrimary<Value>(load: Load<Value>, granted: Position | null): Promise<FromSource<Value>> {
    const { primary, statement } = this.#servers
    return { from: PRIMARY, loaded: await loadFromPrimary(primary, statement, load, granted, Date.now) }
  }

  async #tryReplica<Value>(
    keyspace: string,
    replica: Replica,
    load: Load<Value>,
    need: Requirement,
  ): Promise<Loaded<Value> | null> {
    const { source, region, statement, timings } = this.#servers
    const giveUpAt = performance.now() + timings.replicaWaitMs
    const again = async () => {
      if (performance.now() >= giveUpAt) return false
      await sleep(timings.pollMs)
      return true
    }
    try {
      const answer = await loadFromReplica(replica.pool, statement, load, (p) => isEnough(p, need), again)
      if (answer.code === 'loaded') return answer.loaded
      if (answer.code === 'unfit') throw new Error('it is no streaming replica of the announced history just now')
      if (answer.code === 'lagging') {
        const lagBytes = lagOf(answer.position, need)
        emit({ source, region, event: 'replicaLagging', keyspace, replica: replica.name, lagBytes })
      }
    } catch (error) {
      // A replica may cancel a query that conflicts with recovery; what is really wrong with a load shows on the primary.
      emit({ source, region, event: 'sourceFailed', keyspace, from: replica.name, error })
    }
    return null
  }
}

/** Whether a replica at `position` covers the key's past and what the session wrote and saw. */
function isEnough(position: Position, { required, demand }: Requirement): boolean {
  return (
    position >= required && (demand === null || (satisfies(position, demand.own) && satisfies(position, demand.seen)))
  )
}

function lagOf(position: Position, { required, demand }: Requirement): number {
  const wanted = [required, ...(demand ? [demand.own, demand.seen] : [])].map(lsnOf)
  return Math.max(0, Number(wanted.reduce((a, b) => (a > b ? a : b)) - lsnOf(position)))
}
