/** What `load` and `write` are given: one connection. `pg`'s `PoolClient` has this shape, and most drivers' do. */
export interface Connection {
  query<Row = Record<string, unknown>>(text: string, values?: unknown[]): Promise<{ rows: Row[] }>
}

/** Declared as a method, so that an app may name its driver's own connection: `async (db: pg.PoolClient) => …`. */
export type OnConnection<T> = { use(db: Connection): Promise<T> }['use']

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

/** Connections whose driver sends one statement at a time, as who speaks the extended protocol alone must. */
const oneByOne = new WeakSet<Connection>()

/**
 * The rows of each statement, run as one simple query where the driver can, else one after another. The first use on a
 * connection finds that out, and must not lie within a transaction: a refusal would end it.
 */
export async function rowsOfEach<Row>(db: Connection, statements: readonly string[]): Promise<Row[][]> {
  if (!oneByOne.has(db)) {
    try {
      const results = (await db.query(statements.join('; '))) as unknown as { rows: Row[] }[]
      if (results.length === statements.length) return results.map((result) => result.rows)
    } catch (error) {
      if ((error as { code?: unknown }).code !== SEVERAL_REFUSED) throw error
      oneByOne.add(db)
      return rowsOfEach(db, statements)
    }
    throw new TypeError('the driver answers several statements with one result: let its query() answer one by one')
  }
  const rows: Row[][] = []
  for (const statement of statements) rows.push((await db.query<Row>(statement)).rows)
  return rows
}

/** What Postgres says to several commands in one prepared statement, before it has run any. */
const SEVERAL_REFUSED = '42601'

/**
 * Hands a connection to `use` and gives it back; after a failure rolled back, or closed when even that fails. When the
 * signal is aborted its reason is thrown at once and the connection closed: nobody knows what goes on there. What comes
 * late, a connection, an answer or an error, is dropped.
 */
export async function withConnection<T>(
  pool: ConnectionPool,
  use: (db: Connection) => Promise<T>,
  signal?: AbortSignal,
): Promise<T> {
  const connection = await checkOut(pool, signal)
  // `pg` emits 'error' when a connection breaks, and a pool listens only while it is idle: unheard, it ends the process.
  let broken = false
  const onError = () => {
    broken = true
  }
  connection.on?.('error', onError)
  let usable = false
  try {
    const result = await orAborted(use(connection), signal)
    usable = true
    return result
  } catch (error) {
    usable = !signal?.aborted && (await rolledBack(connection, signal))
    throw error
  } finally {
    const keep = usable && !broken
    connection.release(!keep)
    // One that is closed may fail once more while it ends, and then nobody else listens.
    if (keep) connection.off?.('error', onError)
  }
}

async function checkOut(pool: ConnectionPool, signal: AbortSignal | undefined): Promise<PooledConnection> {
  signal?.throwIfAborted()
  const connecting = pool.connect()
  try {
    return await orAborted(connecting, signal)
  } catch (error) {
    // What is handed out too late is nobody's: kept, the pool would be one short for ever.
    if (signal?.aborted) {
      connecting.then(
        (late) => late.release(),
        () => undefined,
      )
    }
    throw error
  }
}

/** The answer, or the signal's reason as soon as it is aborted; what comes later is dropped, errors too. */
export async function orAborted<T>(answer: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return answer
  const { promise: aborted, reject } = Promise.withResolvers<never>()
  const onAbort = () => reject(signal.reason)
  signal.addEventListener('abort', onAbort, { once: true })
  if (signal.aborted) onAbort()
  try {
    return await Promise.race([answer, aborted])
  } finally {
    signal.removeEventListener('abort', onAbort)
  }
}

/** Whether the connection is of use after a failure: the error that broke it is the one to report, not this one. */
export async function rolledBack(db: Connection, signal?: AbortSignal): Promise<boolean> {
  try {
    await orAborted(db.query('rollback'), signal)
    return true
  } catch {
    return false
  }
}
