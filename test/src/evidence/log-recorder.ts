import type { ClientBase, Pool } from 'pg'
import { type Pgoutput, PgoutputPlugin } from 'pg-logical-replication'

/** A history of minutes is hundreds of thousands. */
const MESSAGES_AT_A_TIME = 50_000

/**
 * Records what is committed to some tables by a slot of its own, and reads it with the library's parser: nothing of
 * the product decodes what the product is judged by. Start it before the writes.
 */
export class LogRecorder {
  readonly #sql: Pool | ClientBase
  readonly #name: string

  private constructor(sql: Pool | ClientBase, name: string) {
    this.#sql = sql
    this.#name = name
  }

  static async start(sql: Pool | ClientBase, name: string, tables: readonly string[]): Promise<LogRecorder> {
    await sql.query(`create publication ${name} for table ${tables.join(', ')}`)
    await sql.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [name])
    return new LogRecorder(sql, name)
  }

  /** What was committed since the start, whole transactions in commit order. Ends the recording. */
  async *finish(): AsyncGenerator<Pgoutput.Message> {
    const parser = new PgoutputPlugin({ protoVersion: 1, publicationNames: [this.#name] })
    let last: number
    do {
      const { rows } = await this.#sql.query<{ data: Buffer }>(
        `select data from pg_logical_slot_get_binary_changes($1, null, $3, 'proto_version', '1', 'publication_names', $2,
           'messages', 'true')`,
        [this.#name, this.#name, MESSAGES_AT_A_TIME],
      )
      for (const { data } of rows) yield parser.parse(data)
      last = rows.length
      // A look that found fewer has come to the end of the log; whoever still writes does not prolong it.
    } while (last >= MESSAGES_AT_A_TIME)
    await this.#sql.query('select pg_drop_replication_slot($1)', [this.#name])
  }
}
