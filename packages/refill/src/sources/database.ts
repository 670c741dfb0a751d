/** What `load` and `write` are given: one connection. `pg`'s `PoolClient` has this shape, and most drivers' do. */
export interface Connection {
  query<Row = Record<string, unknown>>(text: string, values?: unknown[]): Promise<{ rows: Row[] }>
}

/** A connection checked out of a pool; `release(true)` closes it instead of handing it back. */
export interface PooledConnection extends Connection {
  release(destroy?: boolean): void
  /** Of drivers whose connections are event emitters, as `pg`'s are. */
  on?(event: 'error', listener: (error: Error) => void): unknown
  off?(event: 'error', listener: (error: Error) => void): unknown
}

/** A connection pool; `pg.Pool` as it is. */
export interface ConnectionPool {
  connect(): Promise<PooledConnection>
}

/** Runs several statements as one simple query; the rows of the one at `index`. */
export async function rowsOfStatement<Row>(db: Connection, text: string, index: number): Promise<Row[]> {
  const results = (await db.query(text)) as unknown as { rows: Row[] }[]
  const result = results[index]
  if (result === undefined) throw new TypeError('the driver does not answer a simple query of several statements')
  return result.rows
}

/** Hands a connection to `use` and gives it back; after a failure rolled back, or closed when even that fails. */
export async function withConnection<T>(pool: ConnectionPool, use: (db: Connection) => Promise<T>): Promise<T> {
  const connection = await pool.connect()
  // `pg` emits 'error' when a connection breaks, and a pool listens only while it is idle: unheard, it ends the process.
  let broken = false
  const onError = () => {
    broken = true
  }
  connection.on?.('error', onError)
  let usable = false
  try {
    const result = await use(connection)
    usable = true
    return result
  } catch (error) {
    usable = await rolledBack(connection)
    throw error
  } finally {
    connection.release(broken || !usable)
    connection.off?.('error', onError)
  }
}

async function rolledBack(db: Connection): Promise<boolean> {
  try {
    await db.query('rollback')
    return true
  } catch {
    return false // the connection is broken, and the error that broke it is the one to report
  }
}
