/** What `load` and `write` are given: one connection. `pg`'s `PoolClient` has this shape, and most drivers' do. */
export interface Connection {
  query<Row = Record<string, unknown>>(text: string, values?: unknown[]): Promise<{ rows: Row[] }>
}

/** A connection checked out of a pool; `release(true)` closes it instead of handing it back. */
export interface PooledConnection extends Connection {
  release(destroy?: boolean): void
}

/** A connection pool; `pg.Pool` as it is. */
export interface ConnectionPool {
  connect(): Promise<PooledConnection>
}

/** Runs several statements as one simple query; the rows of the last one that is a SELECT named by `index`. */
export async function rowsOfStatement<Row>(db: Connection, text: string, index: number): Promise<Row[]> {
  const results = (await db.query(text)) as unknown as { rows: Row[] }[]
  const result = results[index]
  if (result === undefined) throw new TypeError('the driver does not answer a simple query of several statements')
  return result.rows
}

/** Hands a connection to `use` and gives it back; after a failure rolled back, or closed when even that fails. */
export async function withConnection<T>(pool: ConnectionPool, use: (db: Connection) => Promise<T>): Promise<T> {
  const connection = await pool.connect()
  try {
    const result = await use(connection)
    connection.release()
    return result
  } catch (error) {
    connection.release(!(await rolledBack(connection)))
    throw error
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
