/**
 * The partition of a key: `murmur2(key) mod P`, as Kafka's Java clients compute it
 * (`org.apache.kafka.common.utils.Utils.murmur2`), so that producers in any language agree.
 *
 * @param key the cache key; its UTF-8 bytes are hashed
 * @param partitions P, at least 1
 */
export function partitionOf(key: string, partitions: number): number {
  return (murmur2(Buffer.from(key, 'utf8')) & 0x7fff_ffff) % partitions
}

const SEED = 0x9747b28c
const M = 0x5bd1e995

/** MurmurHash2 with Kafka's seed; the result is a signed 32-bit number. */
export function murmur2(data: Uint8Array): number {
  const whole = data.length & ~3
  let h = SEED ^ data.length
  for (let i = 0; i < whole; i += 4) {
    let k = data[i]! | (data[i + 1]! << 8) | (data[i + 2]! << 16) | (data[i + 3]! << 24)
    k = Math.imul(k, M)
    k ^= k >>> 24
    h = Math.imul(h, M) ^ Math.imul(k, M)
  }
  const left = data.length - whole
  if (left >= 3) h ^= data[whole + 2]! << 16
  if (left >= 2) h ^= data[whole + 1]! << 8
  if (left >= 1) h = Math.imul(h ^ data[whole]!, M)
  h ^= h >>> 13
  h = Math.imul(h, M)
  return h ^ (h >>> 15)
}
