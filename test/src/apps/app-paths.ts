import { subscribe, unsubscribe } from 'node:diagnostics_channel'
import { CHANNEL, type RefillEvent } from '@tidemark/refill'

/** Counts which ways a process's reads went, by what refill tells of them. */
export class AppPaths implements Disposable {
  readonly #counts: Record<string, number> = {}
  readonly #listener = (message: unknown) => this.count(pathOf(message as RefillEvent))

  constructor() {
    subscribe(CHANNEL, this.#listener)
  }

  get counts(): Readonly<Record<string, number>> {
    return this.#counts
  }

  count(path: string): void {
    this.#counts[path] = (this.#counts[path] ?? 0) + 1
  }

  [Symbol.dispose](): void {
    unsubscribe(CHANNEL, this.#listener)
  }
}

function pathOf(event: RefillEvent): string {
  switch (event.event) {
    case 'read':
      return `read: ${event.fresh ? 'fresh' : 'stale'} from ${event.from}${event.doubt ? ` after ${event.doubt}` : ''}`
    case 'readFailed':
      return `refused: ${event.code}`
    case 'refill':
      return `refill: ${event.outcome}`
    case 'replicaLagging':
      return `lagging: ${event.replica}`
    case 'replicaAwaited':
      return `awaited: ${event.arrived ? 'arrived' : 'in vain'}`
    default:
      return event.event
  }
}

/** Every way that a run has to have gone at least once: a run that did not proves nothing about it. */
export const REQUIRED_PATHS: Readonly<Record<string, RegExp>> = {
  'a hit': /^read: fresh from redis$/,
  'a load of what was not there': /^read: fresh from \S+ after absent$/,
  'a load of what was invalidated': /^read: fresh from \S+ after retained$/,
  'a load for a session that was ahead': /^read: fresh from \S+ after behind-session$/,
  'a load past a region that was cut off': /^read: fresh from primary after too-old$/,
  'a bypass': /^read: fresh from primary after bypass$/,
  'the first replica': /^read: fresh from r1\b/,
  'the second replica': /^read: fresh from r2\b/,
  'the third replica': /^read: fresh from r3\b/,
  'the primary': /^read: fresh from primary\b/,
  'a stale value, said to be': /^read: stale from redis after retained$/,
  'a value stored': /^refill: stored$/,
  'a value that was invalidated while it was loaded': /^refill: stale$/,
  'a refusal': /^refused: UNPROVABLE$/,
  'a replica refused': /^lagging: r\d$/,
  'a replica that arrived while it was waited for': /^awaited: arrived$/,
  'a replica waited for in vain': /^awaited: in vain$/,
  'a lease of another waited for': /^leaseWait$/,
  'the limit of the primary': /^primaryLimited$/,
  'several keys in one call': /^call: several keys$/,
  'a copy of the process': /^read: fresh from memory$/,
  'the primary, for it was asked for by name': /^call: strong$/,
  'whatever is there': /^call: any$/,
  'a snapshot without a load': /^snapshot: from redis$/,
  'a snapshot of cells and a load': /^snapshot: completed$/,
  'a snapshot that was loaded': /^snapshot: loaded$/,
  'a session handed on to another process': /^call: session from another process$/,
  'a session handed on to another region': /^call: session from another region$/,
}

/** The ways that were not taken, in words. */
export function missingPaths(counts: Readonly<Record<string, number>>): string[] {
  const taken = Object.keys(counts)
  return Object.entries(REQUIRED_PATHS).flatMap(([what, path]) => (taken.some((one) => path.test(one)) ? [] : [what]))
}

export function sumOfPaths(all: readonly Readonly<Record<string, number>>[]): Record<string, number> {
  const sum: Record<string, number> = {}
  for (const counts of all) for (const [path, n] of Object.entries(counts)) sum[path] = (sum[path] ?? 0) + n
  return sum
}
