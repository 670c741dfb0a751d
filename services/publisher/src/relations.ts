import type { Source } from '@tidemark/protocol'
import type { Relation } from './pgoutput.ts'
import { type KeyspacePlan, planRelation, type RelationPlan } from './relation-plan.ts'

export interface Learnt {
  readonly plan: RelationPlan
  /** Whether the plan's keyspaces can no longer be told by single keys what has changed. */
  readonly changed: boolean
  /** Whether it was never described so before. */
  readonly isNews: boolean
}

/**
 * What the stream has said of relations. It outlives connections: Postgres describes every relation anew on each, and
 * a description that differs from the last one is a change of shape.
 *
 * A table is known by its oid as well as by its name. By name alone, a table that was renamed, filled and renamed back in
 * one transaction would change in silence, and another that was put in its place would pass for the same.
 */
export class Relations {
  readonly #source: Source
  /** Of this connection, by oid. */
  readonly #plans = new Map<number, RelationPlan>()
  /** Of any connection, by table. */
  readonly #shapes = new Map<string, string>()
  readonly #oids = new Map<string, number>()
  /** Roots with a partition whose changes cannot be keyed; the stream does not say which change is of which. */
  readonly #weakened = new Map<number, RelationPlan>()
  #justDescribed: RelationPlan | undefined
  #pair: { readonly root: RelationPlan; readonly partition: Relation } | undefined

  constructor(source: Source) {
    this.#source = source
  }

  /** What the catalog says: the oid of each of the source's tables. */
  seed(oids: ReadonlyMap<string, number>): void {
    for (const [table, oid] of oids) this.#oids.set(table, oid)
  }

  /** To be called for every new connection. */
  forgetConnection(): void {
    this.#plans.clear()
    this.#weakened.clear()
    this.#justDescribed = undefined
    this.#pair = undefined
  }

  /** Takes a description of a relation. */
  learn(relation: Relation): Learnt {
    const plan = this.#planOf(relation)
    // A partition is described right after its root, and its changes then name the root.
    const root = this.#justDescribed
    this.#pair = root && { root, partition: relation }
    this.#justDescribed = plan
    this.#plans.set(plan.oid, this.#weakened.get(plan.oid) ?? plan)
    const changed = this.#isChanged(plan)
    const isNews = this.#shapes.get(plan.table) !== plan.shape
    if (plan.keyspaces.length > 0) {
      this.#shapes.set(plan.table, plan.shape)
      this.#oids.set(plan.table, plan.oid)
    }
    return { plan, changed, isNews }
  }

  /** The plan for a row's change; undefined when the relation was not described. */
  ofRow(oid: number): RelationPlan | undefined {
    if (this.#pair?.root.oid === oid) this.#weaken(this.#pair.root, this.#pair.partition)
    return this.ofTruncate(oid)
  }

  /** The same for a TRUNCATE, before which unrelated tables are described one after the other. */
  ofTruncate(oid: number): RelationPlan | undefined {
    this.#justDescribed = undefined
    this.#pair = undefined
    return this.#plans.get(oid)
  }

  #planOf(relation: Relation): RelationPlan {
    const plan = planRelation(relation, this.#source)
    if (plan.keyspaces.length > 0) return plan
    const [former] = [...this.#oids].find(([, oid]) => oid === relation.oid) ?? []
    // Under another name nobody has said which columns are the key's: as if it had none.
    return former === undefined ? plan : planRelation({ ...relation, columns: [] }, this.#source, former)
  }

  #isChanged({ table, oid, shape, keyspaces }: RelationPlan): boolean {
    const knownOid = this.#oids.get(table)
    const knownShape = this.#shapes.get(table)
    return (
      keyspaces.some((k) => k.lacking.length > 0) ||
      (knownOid !== undefined && knownOid !== oid) ||
      (knownShape !== undefined && knownShape !== shape)
    )
  }

  /** Old images are as the partition's replica identity makes them, while the root's description promises its own. */
  #weaken(root: RelationPlan, partition: Relation): void {
    const own = planRelation(partition, this.#source, root.table)
    const keyspaces = root.keyspaces.map((k, i) => weakened(k, own.keyspaces[i]!))
    if (keyspaces.every((k, i) => k === root.keyspaces[i])) return
    const plan = { ...root, keyspaces }
    this.#weakened.set(root.oid, plan)
    this.#plans.set(root.oid, plan)
  }
}

/** The root's plan as far as the partition's old images bear it; the same object if they bear all of it. */
function weakened(root: KeyspacePlan, partition: KeyspacePlan): KeyspacePlan {
  const { lacking } = partition
  if (lacking.length > 0) return { ...root, columnOf: undefined, lacking }
  const projected = [...(root.projected ?? [])]
  const isHeld = (name: string) => partition.projected?.get(name)?.inOldImage === true
  if (projected.every(([name, { inOldImage }]) => !inOldImage || isHeld(name))) return root
  const borne = projected.map(([name, column]) => {
    return [name, { ...column, inOldImage: column.inOldImage && isHeld(name) }] as const
  })
  return { ...root, projected: new Map(borne) }
}
