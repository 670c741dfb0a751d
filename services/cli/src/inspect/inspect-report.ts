import type { Keyspace, Position } from '@tidemark/protocol'
import type { Answer, Named } from '../facts/parts.ts'
import type { Coherence } from './coherence.ts'
import type { EventSearch } from './newest-event.ts'
import type { RegionSight } from './region-sight.ts'
import type { RowFacts } from './row-facts.ts'

/** All that was found of a key. */
export interface InspectReport {
  readonly key: string
  readonly keyspace: Keyspace
  readonly partition: number
  readonly regions: readonly Named<RegionSight & { readonly coherence: Coherence }>[]
  readonly replicas: readonly Named<{ readonly position: Position | null }>[]
  readonly newest: Answer<EventSearch>
  readonly rows: Answer<readonly RowFacts[]>
}

export function isStale({ regions }: InspectReport): boolean {
  return regions.some((region) => 'facts' in region && region.facts.coherence.isStale)
}
