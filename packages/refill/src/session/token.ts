import { createHmac, timingSafeEqual } from 'node:crypto'
import { epochOf, lsnOf, type Position, position, TidemarkError } from '@tidemark/protocol'
import { z } from 'zod'
import { whole } from '../bounds.ts'

/** What a session carries from request to request, and from region to region. */
export interface TokenContent {
  /** The system identifier of the history that the positions belong to; '0' when there are none yet. */
  readonly systemIdentifier: string
  readonly own: Position
  readonly seen: Position
}

/** A key that signs tokens: the first of a list signs, all verify. */
export interface TokenKey {
  /** 0–255, carried in the token. */
  readonly id: number
  /** At least 32 bytes. */
  readonly secret: string | Uint8Array
}

const MIN_SECRET_BYTES = 32

export const tokenKeySchema = z.strictObject({
  id: whole(0, 255),
  secret: z.custom<TokenKey['secret']>(
    (secret) =>
      (typeof secret === 'string' || secret instanceof Uint8Array) && Buffer.byteLength(secret) >= MIN_SECRET_BYTES,
    { error: `must be a text or bytes, of at least ${MIN_SECRET_BYTES} bytes` },
  ),
}) satisfies z.ZodType<TokenKey>

/** What tokens of one source are made with. */
export interface TokenSeal {
  /** The source's name. It is signed and not carried: positions of another source are no positions here. */
  readonly source: string
  readonly keys: readonly TokenKey[]
  readonly maxAgeMs: number
}

/** Why a token is not believed. `foreign` includes those of a key that was dropped. */
export type TokenFlaw = 'malformed' | 'foreign' | 'forged' | 'old'

const FLAWS: Readonly<Record<TokenFlaw, string>> = {
  malformed: 'is malformed',
  foreign: 'is signed by a key that is not known here',
  forged: 'has a signature that does not fit',
  old: 'is too old',
}

const FORMAT = 1
const BODY_BYTES = 38
const MAC_BYTES = 16
/** Buffer's decoder skips what is not of the alphabet: a token would have many spellings. */
const TEXT = /^[A-Za-z0-9_-]{72}$/

/**
 * Encodes a token: base64url of format (1 byte), key id (1), issue time in seconds (4), system identifier (8), own
 * and seen (12 each: epoch and LSN), and the first 16 bytes of an HMAC-SHA256 over all that and the source's name.
 * Big-endian.
 */
export function encodeToken(content: TokenContent, { source, keys }: TokenSeal, now: number): string {
  const key = keys[0]
  if (!key) throw new TidemarkError('TOKEN_INVALID', 'there is no key to sign a token with', { mend: 'Give tokenKeys' })
  const body = Buffer.alloc(BODY_BYTES)
  body.writeUInt8(FORMAT, 0)
  body.writeUInt8(key.id, 1)
  body.writeUInt32BE(Math.floor(now / 1000), 2)
  body.writeBigUInt64BE(BigInt(content.systemIdentifier), 6)
  writePosition(body, content.own, 14)
  writePosition(body, content.seen, 26)
  return Buffer.concat([body, mac(key, body, source)]).toString('base64url')
}

/** Decodes a token, or says what is wrong with it. */
export function decodeToken(
  token: string,
  { source, keys, maxAgeMs }: TokenSeal,
  now: number,
): TokenContent | TokenFlaw {
  const bytes = Buffer.from(TEXT.test(token) ? token : '', 'base64url')
  if (bytes[0] !== FORMAT) return 'malformed'
  const body = bytes.subarray(0, BODY_BYTES)
  const key = keys.find((k) => k.id === body[1])
  if (!key) return 'foreign'
  if (!timingSafeEqual(mac(key, body, source), bytes.subarray(BODY_BYTES))) return 'forged'
  if (now - body.readUInt32BE(2) * 1000 > maxAgeMs) return 'old'
  return {
    systemIdentifier: body.readBigUInt64BE(6).toString(),
    own: readPosition(body, 14),
    seen: readPosition(body, 26),
  }
}

/** What is thrown for a flaw: it shows neither the token nor a key. */
export function tokenInvalid(flaw: TokenFlaw): TidemarkError {
  return new TidemarkError('TOKEN_INVALID', `a session token ${FLAWS[flaw]}`, { mend: 'Start a new session' })
}

/** The body has a fixed length, so that nothing of it can pass for a part of the name. */
function mac(key: TokenKey, body: Buffer, source: string): Buffer {
  return createHmac('sha256', key.secret).update(body).update(source).digest().subarray(0, MAC_BYTES)
}

function writePosition(body: Buffer, at: Position, offset: number): void {
  body.writeUInt32BE(epochOf(at), offset)
  body.writeBigUInt64BE(lsnOf(at), offset + 4)
}

function readPosition(body: Buffer, offset: number): Position {
  return position(body.readUInt32BE(offset), body.readBigUInt64BE(offset + 4))
}
