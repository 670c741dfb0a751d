import { promisify } from 'node:util'
import zlib from 'node:zlib'
import { z } from 'zod'
import { whole } from '../bounds.ts'

export interface Compression {
  readonly algorithm: 'gzip' | 'brotli' | 'zstd'
  /** A shorter value is stored as it is: 1 KiB unless given. */
  readonly minBytes?: number
}

export const DEFAULT_MIN_BYTES = 1_024

type Transform = (bytes: Buffer) => Promise<Buffer>

interface Algorithm {
  /** 1–3, as cells say it. */
  readonly id: number
  readonly compress: Transform
  /** What grows beyond the bound is given up on before it takes the memory. */
  readonly decompress: (bytes: Buffer, maxBytes: number) => Promise<Buffer>
}

const gzip = promisify(zlib.gzip)
const gunzip = promisify(zlib.gunzip)
const brotliCompress = promisify(zlib.brotliCompress)
const brotliDecompress = promisify(zlib.brotliDecompress)

/** Brotli's own default takes a hundred times as long, for web servers that compress once. */
const BROTLI = { params: { [zlib.constants.BROTLI_PARAM_QUALITY]: 4 } }

/** All of them asynchronous: they run in zlib's threads, and a large value holds up nobody else. */
const ALGORITHMS: Readonly<Partial<Record<Compression['algorithm'], Algorithm>>> = {
  gzip: {
    id: 1,
    compress: (bytes) => gzip(bytes),
    decompress: (bytes, maxOutputLength) => gunzip(bytes, { maxOutputLength }),
  },
  brotli: {
    id: 2,
    compress: (bytes) => brotliCompress(bytes, BROTLI),
    decompress: (bytes, maxOutputLength) => brotliDecompress(bytes, { maxOutputLength }),
  },
  ...zstd(),
}

/** Node 22 has it from 22.15 on. */
function zstd(): { zstd?: Algorithm } {
  if (typeof zlib.zstdCompress !== 'function') return {}
  const compress = promisify(zlib.zstdCompress)
  const decompress = promisify(zlib.zstdDecompress)
  return {
    zstd: {
      id: 3,
      compress: (bytes) => compress(bytes),
      decompress: (bytes, maxOutputLength) => decompress(bytes, { maxOutputLength }),
    },
  }
}

export function algorithmNamed(name: Compression['algorithm']): Algorithm | undefined {
  return Object.hasOwn(ALGORITHMS, name) ? ALGORITHMS[name] : undefined
}

export function algorithmOf(id: number): Algorithm | undefined {
  return Object.values(ALGORITHMS).find((algorithm) => algorithm.id === id)
}

export const compressionSchema = z.strictObject({
  algorithm: z.custom<Compression['algorithm']>((name) => typeof name === 'string' && Object.hasOwn(ALGORITHMS, name), {
    error: `must be one that this Node has: ${Object.keys(ALGORITHMS).join(', ')}`,
  }),
  minBytes: whole(0).default(DEFAULT_MIN_BYTES),
}) satisfies z.ZodType<Compression>
