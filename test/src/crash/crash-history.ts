import assert from 'node:assert/strict'
import { type Lsn, parseLsn } from '@tidemark/protocol'
import type { Client } from 'pg'
import { type Pgoutput, PgoutputPlugin } from 'pg-logical-replication'
import type { Commit } from '../evidence/topic-check.ts'
import { BULK_LIMIT } from './crash-source.ts'

type Row = Readonly<Record<string, unknown>>

/**
 * Records the commits by a slot of its own, and reads them with the library's parser: nothing of the product decodes
 * what the product is judged by. Start it before the writes.
 */
export class CrashHistory {
  readonly #sql: Client
  readonly #name: string

  private constructor(sql: Client, name: string) {
    this.#sql = sql
    this.#name = name
  }

  static async start(sql: Client, name: string): Promise<CrashHistory> {
    await sql.query(`create publication ${name} for table item, entry`)
    await sql.query(`select pg_create_logical_replication_slot($1, 'pgoutput')`, [name])
    return new CrashHistory(sql, name)
  }

  /** What was committed since the start, in commit order. Ends the recording. */
  async finish(): Promise<Commit[]> {
    const { rows } = await this.#sql.query<{ data: Buffer }>(
      `select data from pg_logical_slot_get_binary_changes($1, null, null, 'proto_version', '1', 'publication_names', $2,
         'messages', 'true')`,
      [this.#name, this.#name],
    )
    await this.#sql.query('select pg_drop_replication_slot($1)', [this.#name])
    const parser = new PgoutputPlugin({ protoVersion: 1, publicationNames: [this.#name] })
    return commitsOf(rows.map(({ data }) => parser.parse(data)))
  }
}

function commitsOf(messages: readonly Pgoutput.Message[]): Commit[] {
  const commits: Commit[] = []
  let owed: Owed | undefined
  for (const message of messages) {
    if (message.tag === 'begin') owed = new Owed()
    else if (message.tag === 'message') owed!.told(message)
    else if (message.tag === 'truncate') owed!.truncated()
    else if (message.tag === 'insert' || message.tag === 'update' || message.tag === 'delete') owed!.changed(message)
    else if (message.tag === 'commit') commits.push(owed!.committed(parseLsn(message.commitLsn!)))
  }
  return commits
}

/** What the open transaction owes so far. */
class Owed {
  readonly #keys = { item: new Set<string>(), owner: new Set<string>(), entry: new Set<string>() }
  readonly #floors = new Set<string>()

  truncated(): void {
    this.#floors.add('item').add('owner')
  }

  /** What is said of the tables in the stream, by the publisher itself: which keyspaces to refill. */
  told({ prefix, content }: Pgoutput.MessageMessage): void {
    if (!prefix.startsWith('tidemark.')) return
    const { keyspaces } = JSON.parse(Buffer.from(content).toString()) as { keyspaces: string[] }
    for (const keyspace of keyspaces) this.#floors.add(keyspace)
  }

  changed(change: Pgoutput.MessageInsert | Pgoutput.MessageUpdate | Pgoutput.MessageDelete): void {
    const images: (Row | null)[] = [
      change.tag === 'insert' ? null : (change.old ?? change.key),
      change.tag === 'delete' ? null : change.new,
    ]
    for (const image of images) {
      if (!image) continue
      if (change.relation.name === 'entry') this.#keys.entry.add(`entry:${image.id}`)
      else this.#item(image)
    }
  }

  #item({ id, owner }: Row): void {
    assert(id !== undefined && owner !== undefined, 'the identity of item is full')
    this.#keys.item.add(`item:${id}`)
    this.#keys.owner.add(`owner:${owner}`)
  }

  committed(lsn: Lsn): Commit {
    for (const keyspace of ['item', 'owner'] as const) {
      if (this.#keys[keyspace].size > BULK_LIMIT) this.#floors.add(keyspace)
    }
    const keys = Object.entries(this.#keys).flatMap(([keyspace, names]) =>
      this.#floors.has(keyspace) ? [] : [...names].map((name) => [name, keyspace] as const),
    )
    return { lsn, keys: new Map(keys), floors: this.#floors }
  }
}
