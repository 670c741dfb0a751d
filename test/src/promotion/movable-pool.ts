import type { ConnectionPool, PooledConnection } from '@tidemark/refill'

/** A pool as an app has it: where it leads to is configured, and moved after a failover. */
export class MovablePool implements ConnectionPool {
  #target: ConnectionPool

  constructor(target: ConnectionPool) {
    this.#target = target
  }

  moveTo(target: ConnectionPool): void {
    this.#target = target
  }

  connect(): Promise<PooledConnection> {
    return this.#target.connect()
  }
}
