import { setTimeout as sleep } from 'node:timers/promises'
import type { Demand } from '@tidemark/guard'
import { type Lsn, lsnOf, type Position, satisfies } from '@tidemark/protocol'
import { Deadline } from '../deadline.ts'
import { emit } from '../events.ts'
import type { Timings } from '../timings.ts'
import type { Connection, ConnectionPool } from './database.ts'
import {
  type Isolation,
  type Load,
  type Loaded,
  loadFromPrimary,
  loadFromReplica,
  type ReplicaAnswer,
} from './labelled-load.ts'
import { PrimaryLimit, PrimaryLimited, type PrimaryLimitOptions } from './primary-limit.ts'
import { inOrder } from './replica-choice.ts'
import type { Standing } from './standing.ts'
import { canWaitFor, waitForLsn } from './wait-for-lsn.ts'
import { type Replica, WatchedReplica } from './watched-replica.ts'

/** What the lease says, and what the reader asks beyond it. */
export interface Requirement {
  readonly required: Position
  readonly granted: Position
  readonly demand: Demand | null
}

export interface LoadOptions {
  /** `snapshot`: all statements of the load see one instant. */
  readonly isolation?: Isolation | undefined
  /** Ends the load, by its caller or because its time is over: it rejects with the reason, and its connection is closed. */
  readonly signal?: AbortSignal | undefined
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
  readonly primaryLimit: PrimaryLimitOptions
}

/** One load that may be a replica's. */
interface Order<Value> extends LoadOptions {
  readonly keyspace: string
  readonly load: Load<Value>
  readonly need: Requirement
  /** Until when replicas that lag are waited for, all together; by the monotonic clock. */
  readonly waitUntil: number
}

const PRIMARY = 'primary'

/**
 * Where values are loaded from: the replica that stands far enough and answers fastest, another one, then the primary,
 * under a limit. Only the key's own past is required of a replica, so one that is behind the watermark may still fill a
 * key that has not changed lately. What is known of the replicas only helps to choose: a label is read with its rows.
 */
export class Sources {
  readonly #servers: Servers
  readonly #replicas: readonly WatchedReplica[]
  readonly #limit: PrimaryLimit

  constructor(servers: Servers) {
    this.#servers = servers
    const { source, region } = servers
    this.#replicas = servers.replicas.map((replica) => {
      const { name } = replica
      return new WatchedReplica(replica, (state) =>
        emit({ source, region, event: 'replicaCircuit', replica: name, state }),
      )
    })
    this.#limit = new PrimaryLimit(servers.primaryLimit)
  }

  /**
   * A labelled load under a lease. Throws what the primary threw when no source could answer, PrimaryLimited when it was
   * not asked, and the signal's reason.
   */
  async load<Value>(
    keyspace: string,
    load: Load<Value>,
    need: Requirement,
    { replicasMayServe, ...options }: LoadOptions & { readonly replicasMayServe: boolean },
  ): Promise<FromSource<Value>> {
    const waitUntil = performance.now() + this.#servers.timings.replicaWaitMs
    const order = { ...options, keyspace, load, need, waitUntil }
    return (
      (replicasMayServe && (await this.#fromReplicas(order))) ||
      this.loadFromPrimary(keyspace, load, need.granted, options)
    )
  }

  async loadFromPrimary<Value>(
    keyspace: string,
    load: Load<Value>,
    granted: Position | null,
    { isolation, signal }: LoadOptions = {},
  ): Promise<FromSource<Value>> {
    await this.#turnAtPrimary(keyspace, signal)
    const { primary: pool, statement } = this.#servers
    const loaded = await loadFromPrimary({ pool, statement, load, isolation, signal }, granted, Date.now)
    return { from: PRIMARY, loaded }
  }

  async #turnAtPrimary(keyspace: string, signal: AbortSignal | undefined): Promise<void> {
    const waitMs = this.#limit.take(performance.now())
    if (waitMs === null) {
      this.#tell({ event: 'primaryLimited', keyspace })
      throw new PrimaryLimited()
    }
    if (waitMs > 0) await pause(waitMs, signal)
  }

  async #fromReplicas<Value>(order: Order<Value>): Promise<FromSource<Value> | null> {
    const known = this.#replicas.map((replica) => replica.known)
    for (const i of inOrder(known, (at) => isEnough(at, order.need), performance.now())) {
      const replica = this.#replicas[i]!
      const loaded = await this.#tryReplica(replica, order)
      if (loaded) return { from: replica.name, loaded }
    }
    return null
  }

  async #tryReplica<Value>(replica: WatchedReplica, order: Order<Value>): Promise<Loaded<Value> | null> {
    const { keyspace, signal } = order
    try {
      const answer = await replica.ask(() => this.#askReplica(replica, order), signal)
      if (answer?.code === 'failed') throw answer.failure
      return answer?.code === 'loaded' ? answer.loaded : null
    } catch (error) {
      signal?.throwIfAborted()
      // A replica may cancel a query that conflicts with recovery; what is really wrong with a load shows on the primary.
      this.#tell({ event: 'sourceFailed', keyspace, from: replica.name, error })
      return null
    }
  }

  /** Throws what the circuit is to count. */
  async #askReplica<Value>(
    replica: WatchedReplica,
    { load, need, isolation, signal, ...order }: Order<Value>,
  ): Promise<Exclude<ReplicaAnswer<Value>, { code: 'unfit' }>> {
    const { statement, timings } = this.#servers
    const start = performance.now()
    const deadline = new Deadline(timings.replicaAnswerMs, `replica ${replica.name}`, signal)
    const patience = this.#patience(replica, order, need, deadline.signal)
    const answered = (standing: Standing | null) => {
      deadline.met()
      if (standing?.role === 'replica') replica.learn(standing.position, performance.now() - start)
    }
    const reached = (at: Position) => isEnough(at, need)
    try {
      const loading = { pool: replica.pool, statement, load, isolation, signal: deadline.signal }
      const answer = await loadFromReplica({ ...loading, reached, answered, again: patience.again })
      if (answer.code === 'unfit') throw new Error('it is no streaming replica of the announced history just now')
      patience.ended(answer.code !== 'lagging')
      return answer
    } finally {
      deadline[Symbol.dispose]()
    }
  }

  /** A replica that lags is refused, which is counted, then waited for while the load's budget lasts. */
  #patience(
    { name: replica }: WatchedReplica,
    { keyspace, waitUntil }: Pick<Order<unknown>, 'keyspace' | 'waitUntil'>,
    need: Requirement,
    signal: AbortSignal,
  ) {
    let refused = false
    let waited = false
    const again = async (db: Connection, standing: Standing) => {
      const wanted = wantedLsn(need)
      const at = lsnOf(standing.position)
      const lagBytes = Math.max(0, Number(wanted - at))
      if (!refused) this.#tell({ event: 'replicaLagging', keyspace, replica, lagBytes })
      refused = true
      const leftMs = waitUntil - performance.now()
      if (leftMs <= 0) return false
      waited = true
      if (canWaitFor(wanted, standing, at)) await db.query(waitForLsn(wanted, leftMs))
      else await pause(Math.min(this.#servers.timings.pollMs, leftMs), signal)
      return true
    }
    const ended = (arrived: boolean) => {
      if (waited) this.#tell({ event: 'replicaAwaited', keyspace, replica, arrived })
    }
    return { again, ended }
  }

  #tell(event: WithoutOrigin<Parameters<typeof emit>[0]>): void {
    const { source, region } = this.#servers
    emit({ source, region, ...event })
  }
}

type WithoutOrigin<E> = E extends unknown ? Omit<E, 'source' | 'region'> : never

async function pause(ms: number, signal: AbortSignal | undefined): Promise<void> {
  try {
    await sleep(ms, undefined, signal && { signal })
  } catch (error) {
    signal?.throwIfAborted()
    throw error
  }
}

/** Whether a replica at `position` covers the key's past and what the session wrote and saw. */
function isEnough(position: Position, { required, demand }: Requirement): boolean {
  return (
    position >= required && (demand === null || (satisfies(position, demand.own) && satisfies(position, demand.seen)))
  )
}

/** The LSN that a replica of the same epoch must have reached. */
function wantedLsn({ required, demand }: Requirement): Lsn {
  const wanted = [required, ...(demand ? [demand.own, demand.seen] : [])].map(lsnOf)
  return wanted.reduce((a, b) => (a > b ? a : b))
}
