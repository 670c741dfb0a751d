import type { Cluster, Redis } from 'ioredis'
import { quietRedis } from '../pipeline/pipeline-context.ts'

/** The Redis of a region, whatever it is made of: one server, Sentinel, or Cluster. */
export interface RegionRedis {
  /** As the worker's settings spell it. */
  readonly url: string
  /** A client as an app has it. */
  connect(): Redis | Cluster
}

export function oneRedis(url: string): RegionRedis {
  return { url, connect: () => quietRedis(url) }
}
