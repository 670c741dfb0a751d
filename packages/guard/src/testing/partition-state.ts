import assert from 'node:assert/strict'
import type { Redis } from 'ioredis'
import type { PartitionKeys } from '../keys.ts'
import { decodeOffset, decodeView } from '../view.ts'
import { type Point, pointOf, type ReferenceModel } from './reference-model.ts'

/** All that a partition holds, in one form for Redis and model, so that the two compare as wholes. */
export interface PartitionState {
  readonly view: Readonly<Record<string, unknown>> | null
  /** Slot → key → version. */
  readonly tombstones: Readonly<Record<string, Readonly<Record<string, Point>>>>
  readonly cells: Readonly<Record<string, CellState>>
}

export interface CellState {
  readonly state: 'live' | 'stale' | 'none'
  readonly low: Point
  readonly high: Point
  readonly loadedAt: number | null
  readonly payload: string
  readonly lease: string | null
  /** The step of TTL_STEP_MS in which its time to live lies. */
  readonly ttlStep: number
}

/** Times to live in the test are whole multiples of this, so far apart that the test's own run does not matter. */
export const TTL_STEP_MS = 1_200_000

/** Reads the state of a partition in one pipeline, by the layout that cell.lua documents and not by our decoder. */
export async function stateInRedis(
  redis: Redis,
  keys: PartitionKeys,
  names: readonly string[],
): Promise<PartitionState> {
  const pipeline = redis.pipeline().get(keys.view)
  for (const generation of keys.generations) pipeline.hgetall(generation)
  for (const name of names) pipeline.get(keys.cell(name)).pttl(keys.cell(name))
  const answers = ((await pipeline.exec()) ?? []).map(([error, answer]) => {
    if (error) throw error
    return answer
  })
  const [view, ...rest] = answers
  const hashes = rest.slice(0, keys.generations.length) as Record<string, string>[]
  const cells = rest.slice(keys.generations.length)
  return {
    view: viewState(view as string | null),
    tombstones: Object.fromEntries(
      hashes.flatMap((hash, slot) => (Object.keys(hash).length > 0 ? [[slot, points(hash)]] : [])),
    ),
    cells: Object.fromEntries(
      names.flatMap((name, i) => {
        const raw = cells[2 * i] as string | null
        return raw === null ? [] : [[name, cellState(raw, cells[2 * i + 1] as number)]]
      }),
    ),
  }
}

function points(texts: Readonly<Record<string, string>>): Record<string, Point> {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, pointOf(text)]))
}

function viewState(raw: string | null): PartitionState['view'] {
  const view = decodeView(raw)
  if (view === null) return null
  return {
    epoch: Number.parseInt(view.epoch, 16),
    watermark: pointOf(view.watermark),
    newest: pointOf(view.newest),
    horizon: pointOf(view.horizon),
    floors: points(view.floors),
    offset: decodeOffset(view.offset),
    beat: view.beat,
    current: view.current,
    generations: Object.fromEntries(Object.entries(view.generations).map(([slot, g]) => [slot, pointOf(g.newest)])),
    gap: view.gap ?? null,
  }
}

const CELL = /^1([LS-])([0-9a-f]{24})([0-9a-f]{24})(\d{13})(?:-|\+([0-9a-f]{16})\d{13})(.*)$/s

function cellState(raw: string, ttlMs: number): CellState {
  const match = CELL.exec(raw)
  assert(match, 'a cell has the layout of format 1')
  const [, state, low, high, time, lease, payload] = match
  return {
    state: state === 'L' ? 'live' : state === 'S' ? 'stale' : 'none',
    low: pointOf(low!),
    high: pointOf(high!),
    loadedAt: Number(time) === 0 ? null : Number(time),
    payload: payload!,
    lease: lease ?? null,
    ttlStep: Math.ceil(ttlMs / TTL_STEP_MS),
  }
}

/** The state of the model, in the same form. */
export function stateInModel(model: ReferenceModel): PartitionState {
  const { view } = model
  return {
    view: view && {
      ...view,
      floors: Object.fromEntries(view.floors),
      generations: Object.fromEntries([...view.generations].map(([slot, g]) => [slot, g.newest])),
    },
    tombstones: Object.fromEntries([...model.tombstones].map(([slot, hash]) => [slot, Object.fromEntries(hash)])),
    cells: Object.fromEntries(
      [...model.cells].map(([name, cell]) => [
        name,
        {
          state: cell.state,
          low: cell.value?.low ?? 0n,
          high: cell.value?.high ?? 0n,
          loadedAt: cell.value?.loadedAt ?? null,
          payload: cell.value?.payload ?? '',
          lease: cell.lease?.id ?? null,
          ttlStep: Math.ceil(cell.ttlMs / TTL_STEP_MS),
        },
      ]),
    ),
  }
}
