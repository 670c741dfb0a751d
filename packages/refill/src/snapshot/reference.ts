import { Answers } from '../read/answer.ts'
import type { Wanted } from '../read/inquiry.ts'
import type { KeyspaceScope } from '../read/keyspace-scope.ts'
import type { Refill } from '../read/refill.ts'

/** What a snapshot does itself of a refill: the lease, the load and the store are of many caches at once. */
type Parts<Value> = Pick<Refill<Value>, 'lease' | 'release' | 'kept' | 'unkept' | 'loadPart'>

/** One value of a snapshot: a key of a cache, and how that cache reads it. What `cache.at(params)` gives. */
export class Reference<Value> {
  readonly scope: KeyspaceScope
  readonly refill: Parts<Value>
  readonly answers: Answers<Value>
  readonly wanted: Wanted

  constructor(scope: KeyspaceScope, refill: Parts<Value>, wanted: Wanted) {
    this.scope = scope
    this.refill = refill
    this.answers = new Answers(scope)
    this.wanted = wanted
  }
}
