import { connect, createServer } from 'node:net'
import { LocalServerError } from './errors.ts'

/**
 * Below the range from which Linux (32768) and macOS (49152) take the source ports of outgoing connections.
 * A port of that range is not ours while the server is down: any client may be given it, and a client that
 * keeps knocking at it on the loopback can end up connected to itself.
 */
const FIRST_PORT = 20_000
const PORTS = 12_000
const MAX_TRIES = 200
/** How far above its own port a node of a Redis Cluster takes one for the cluster's bus. */
const BUS_OFFSET = 10_000

const handedOut = new Set<number>()

/** A port of 127.0.0.1 on which nothing listens, never the same twice in one process. */
export async function freePort(random: () => number = Math.random): Promise<number> {
  return take([0], random)
}

/** The same for a node of a Redis Cluster, which listens on a second one as well. */
export async function freeClusterPort(random: () => number = Math.random): Promise<number> {
  return take([0, BUS_OFFSET], random)
}

async function take(offsets: readonly number[], random: () => number): Promise<number> {
  const range = PORTS - Math.max(...offsets)
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    const first = FIRST_PORT + Math.floor(random() * range)
    const ports = offsets.map((offset) => first + offset)
    if (ports.some((port) => handedOut.has(port))) continue
    // Before anything is waited for: somebody else may be trying the same ones.
    for (const port of ports) handedOut.add(port)
    const free = await Promise.all(ports.map(isFree))
    if (free.every(Boolean)) return first
  }
  throw new LocalServerError('NO_PORT', `none of ${MAX_TRIES} ports from ${FIRST_PORT} on is free`)
}

async function isFree(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const probe = createServer()
  probe.once('error', () => resolve(false))
  probe.listen({ host: '127.0.0.1', port, exclusive: true }, () => probe.close(() => resolve(true)))
  return promise
}

/** Whether something takes connections on this port of 127.0.0.1. */
export async function isOpen(port: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<boolean>()
  const probe = connect({ host: '127.0.0.1', port })
  probe.once('error', () => resolve(false)).once('connect', () => resolve(true))
  try {
    return await promise
  } finally {
    probe.destroy()
  }
}
