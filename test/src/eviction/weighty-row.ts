/** A row of `hot` as the app wants it: its counter, and something that makes it weigh about a kibibyte. */
export interface WeightyRow {
  readonly n: number
  readonly filler: string
}

const MIN_FILLER = 512
/** Many sizes, so that the allocator's classes favour nobody. */
const SIZES = 1_024
export const MEAN_BYTES = MIN_FILLER + SIZES / 2

interface Queryable {
  query<R>(text: string, values: unknown[]): Promise<{ rows: R[] }>
}

export async function loadRow(db: Queryable, id: number): Promise<WeightyRow> {
  const query = `select n, repeat('x', ${MIN_FILLER} + id % ${SIZES}) as filler from hot where id = $1`
  const { rows } = await db.query<{ n: string; filler: string }>(query, [id])
  return { n: Number(rows[0]!.n), filler: rows[0]!.filler }
}
