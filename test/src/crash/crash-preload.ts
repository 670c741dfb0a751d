import { writeSync } from 'node:fs'
import { Socket } from 'node:net'
import { decodeRecord } from '@tidemark/protocol'
import { Client } from 'pg'
import { Acker } from '../../../services/publisher/src/acker.ts'
import type { Message } from '../../../services/publisher/src/batch.ts'
import { Bus } from '../../../services/publisher/src/bus.ts'
import { Inbox } from '../../../services/publisher/src/inbox.ts'
import { ReplicationStream } from '../../../services/publisher/src/stream.ts'
import { CRASH_VARIABLE, type CrashPoint, decodeCrash } from './crash-points.ts'

/*
 * Preloaded into a publisher's process: kills it, as kill -9 would, at the point that the environment names. The
 * publisher knows nothing of it; its classes' methods are wrapped, and whatever of them is no longer there to be
 * wrapped ends the process at once, with another exit than the one that the test waits for.
 */

const crash = decodeCrash(process.env[CRASH_VARIABLE] ?? '')
let passed = 0

function pass(point: CrashPoint): void {
  if (point !== crash.point || ++passed < crash.hit) return
  writeSync(process.stdout.fd, `${JSON.stringify({ msg: `killed ${point}, time ${passed}` })}\n`)
  process.kill(process.pid, 'SIGKILL')
}

type Method = (this: unknown, ...args: never[]) => unknown

interface Around<Args> {
  readonly before?: (args: Args) => void
  /** Once the method has returned, or what it promised has come true. */
  readonly after?: (args: Args) => void
}

function wrap<Args extends readonly unknown[]>(owner: { prototype: object }, name: string, around: Around<Args>): void {
  const prototype = owner.prototype as Record<string, Method | undefined>
  const method = prototype[name]
  if (typeof method !== 'function') throw new Error(`there is no method ${name} to crash in`)
  prototype[name] = function (this: unknown, ...args: never[]) {
    const given = args as unknown as Args
    around.before?.(given)
    const result = method.apply(this, args)
    if (result instanceof Promise) return result.then(passOn(() => around.after?.(given)))
    around.after?.(given)
    return result
  }
}

function passOn(before: () => void): (value: unknown) => unknown {
  return (value) => {
    before()
    return value
  }
}

// ── the opening: each step is a statement ───────────────────────────────────────────────────────────────────────

const STATEMENTS = [
  [/^\s*insert into tidemark\.epoch\b/, 'before the epoch’s row', 'after the epoch’s row'],
  [/\bpg_create_logical_replication_slot\b/, 'before the slot', 'after the slot'],
  [/^\s*update tidemark\.epoch set start_lsn\b/, 'before the epoch’s start', 'after the epoch’s start'],
] as const

function statementOf([query]: readonly [unknown]) {
  return typeof query === 'string' ? STATEMENTS.find(([pattern]) => pattern.test(query)) : undefined
}

wrap<readonly [unknown]>(Client, 'query', {
  before: (args) => passIf(statementOf(args)?.[1]),
  after: (args) => passIf(statementOf(args)?.[2]),
})

function passIf(point: CrashPoint | undefined): void {
  if (point) pass(point)
}

// ── receipt ─────────────────────────────────────────────────────────────────────────────────────────────────────

const ROW_CHANGES = ['insert', 'update', 'delete', 'truncate']

wrap<readonly [{ readonly kind: string }]>(Inbox, 'accept', {
  after: ([{ kind }]) => {
    if (ROW_CHANGES.includes(kind)) pass('within a transaction’s receipt')
    if (kind === 'commit') pass('after receipt')
  },
})

// ── Kafka ───────────────────────────────────────────────────────────────────────────────────────────────────────

const AROUND_SENDS = {
  announcement: ['before the announcement', 'after the announcement'],
  events: ['before produce', 'after the acknowledgement'],
  watermark: ['before an idle watermark', 'after an idle watermark'],
} as const

let sending: keyof typeof AROUND_SENDS | undefined

function whatIsIn(messages: readonly Message[]) {
  const kinds = new Set(messages.map(({ key, value }) => decodeRecord(key, value).kind))
  if (kinds.has('epoch')) return 'announcement'
  return kinds.has('event') || kinds.has('floor') ? 'events' : 'watermark'
}

wrap(Bus, 'claim', {
  before: () => pass('before the claim'),
  after: () => pass('after the claim'),
})

/** Sends of the batch in hand: the acker hears of a batch once its last send has been acknowledged. */
let sends = 0

wrap<readonly [readonly Message[]]>(Bus, 'send', {
  before: ([messages]) => {
    sending = whatIsIn(messages)
    if (sends > 0) pass('between two sends')
    pass(AROUND_SENDS[sending][0])
  },
  after: ([messages]) => {
    pass(AROUND_SENDS[whatIsIn(messages)][1])
    if (sending !== 'announcement') sends++
    sending = undefined
  },
})

// On the wire: a request is size, API key, version, correlation id; its response size and correlation id.
const PRODUCE = 0
const brokerPorts = process.env.TIDEMARK_KAFKA_BROKERS!.split(',').map((broker) => Number(broker.split(':').at(-1)))

function isProduceRequest(socket: Socket, bytes: unknown): bytes is Buffer {
  if (!(bytes instanceof Buffer) || bytes.length < 12 || !brokerPorts.includes(socket.remotePort ?? -1)) return false
  return bytes.readInt32BE(0) === bytes.length - 4 && bytes.readInt16BE(4) === PRODUCE
}

const write = Socket.prototype.write as (this: Socket, ...args: unknown[]) => boolean
Socket.prototype.write = function (this: Socket, ...args: unknown[]) {
  const [bytes] = args
  if (sending !== 'events' || !isProduceRequest(this, bytes)) return write.apply(this, args)
  const correlation = bytes.readInt32BE(8)
  // Before kafkajs reads it.
  const onResponse = (response: Buffer) => {
    if (response.length < 8 || response.readInt32BE(4) !== correlation) return
    this.off('data', onResponse)
    pass('before the acknowledgement')
  }
  this.prependListener('data', onResponse)
  const written = write.apply(this, args)
  pass('after produce')
  return written
}

// ── Postgres ────────────────────────────────────────────────────────────────────────────────────────────────────

let toConfirm = false

wrap(Acker, 'published', {
  after: () => {
    sends = 0
    toConfirm = true
  },
})
// Every beat says the position again: only the first time is a boundary.
wrap(ReplicationStream, 'status', {
  before: () => {
    if (toConfirm) pass('before confirm')
  },
  after: () => {
    if (toConfirm) pass('after confirm')
    toConfirm = false
  },
})
