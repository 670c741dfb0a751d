import { once } from 'node:events'
import { createReadStream, createWriteStream, type WriteStream } from 'node:fs'
import { createInterface } from 'node:readline'
import type { Position } from '@tidemark/protocol'
import type { JudgedReading } from '../evidence/reading-check.ts'

/** Where in its life a session did something: a visit is what it did in one process before it was handed on. */
export interface SessionPlace {
  readonly session: string
  readonly visit: number
  readonly step: number
}

export interface NotedRead extends JudgedReading {
  readonly kind: 'read'
  readonly cents: number
  readonly doubt: string | null
  readonly endedMs: number
  readonly place: SessionPlace | null
}

/** Values that were said to have been true at one instant. */
export interface NotedSnapshot {
  readonly kind: 'snapshot'
  /** At one of its positions, or at each; both ends are among them. Null where nobody could say. */
  readonly at: { readonly low: Position; readonly high: Position } | null
  readonly isExact: boolean
  readonly rows: readonly { readonly id: string; readonly n: number; readonly cents: number }[]
}

export type AppNote =
  | NotedRead
  | NotedSnapshot
  | { readonly kind: 'wrote'; readonly id: string; readonly n: number; readonly place: SessionPlace }
  | { readonly kind: 'refused'; readonly keyspace: string; readonly code: string | null; readonly message: string }

/** What a process did and was handed, line by line, for whoever judges it afterwards. */
export class AppHistory implements AsyncDisposable {
  readonly #stream: WriteStream

  constructor(file: string) {
    this.#stream = createWriteStream(file, { flags: 'a' })
  }

  async note(note: AppNote): Promise<void> {
    if (!this.#stream.write(`${JSON.stringify(note)}\n`)) await once(this.#stream, 'drain')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stream.end()
    await once(this.#stream, 'close')
  }
}

export async function readHistory(file: string): Promise<AppNote[]> {
  const notes: AppNote[] = []
  for await (const line of createInterface({ input: createReadStream(file) })) notes.push(JSON.parse(line) as AppNote)
  return notes
}
