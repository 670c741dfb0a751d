import { decodePayload, Guard, type Inspection, partitionKeys } from '@tidemark/guard'
import { isTidemarkError, partitionOf, type Source } from '@tidemark/protocol'
import { withRedis } from '../connections.ts'
import type { NamedRedis } from '../settings.ts'

/** What the Redis of a region knows of a key. */
export interface RegionSight {
  readonly inspection: Inspection
  /** Read a moment later, and only where it was asked for. */
  readonly value: string | undefined
}

export function readSight(region: NamedRedis, source: Source, key: string, withValue: boolean): Promise<RegionSight> {
  return withRedis(region.redis, async (redis) => {
    const guard = new Guard(redis, partitionKeys(source.keyPrefix, partitionOf(key, source.partitions)))
    const inspection = await guard.inspect(key)
    return { inspection, value: withValue ? await valueIn(guard, key) : undefined }
  })
}

async function valueIn(guard: Guard, key: string): Promise<string | undefined> {
  try {
    const { cell } = await guard.look(key)
    return cell === null ? undefined : textOf(decodePayload(cell.payload).body)
  } catch (error) {
    if (isTidemarkError(error, 'CELL_MALFORMED')) return undefined
    throw error
  }
}

/** As it stands, or in base64 where it is no text. */
function textOf(body: Buffer): string {
  const text = body.toString('utf8')
  return Buffer.from(text, 'utf8').equals(body) ? text : `base64 ${body.toString('base64')}`
}
