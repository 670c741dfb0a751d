import assert from 'node:assert/strict'
import { type Lsn, parseLsn } from '@tidemark/protocol'
import type { Pgoutput } from 'pg-logical-replication'
import type { Commit } from '../evidence/topic-check.ts'
import { BULK_LIMIT } from './crash-source.ts'

type Row = Readonly<Record<string, unknown>>

/** What every transaction of a recording owes, in commit order. */
export async function commitsOf(recording: AsyncIterable<Pgoutput.Message>): Promise<Commit[]> {
  const commits: Commit[] = []
  let owed: Owed | undefined
  for await (const message of recording) {
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
