import { Pool } from 'pg'
import { LIBRARIES } from './libraries.ts'
import type { Place, Row } from './library.ts'
import { type Race, race } from './race.ts'
import { measureSpeed, type Speed } from './speed.ts'

/** What a turn is given, as JSON in the environment. */
export interface TurnTask {
  readonly library: string
  readonly name: string
  readonly redisUrl: string
  readonly primaryUrl: string
  readonly replicaUrl: string
}

export interface Turn {
  readonly library: string
  readonly speed: Speed
  readonly raceOnPrimary: Race
  readonly raceOnReplica: Race
}

const POOL = 20

/** One library's turn: a process of its own, so that it inherits neither heap nor compiled code from another one. */
async function takeTurn(task: TurnTask): Promise<Turn> {
  const library = LIBRARIES.find(({ name }) => name === task.library)!
  const primary = new Pool({ connectionString: task.primaryUrl, max: POOL })
  const replica = new Pool({ connectionString: task.replicaUrl, max: POOL })
  const place: Place = { name: task.name, redisUrl: task.redisUrl, primary, replica: null, load: loadRow }
  await library.toldOfWrites?.(place)
  const speed = await measureSpeed(library, place)
  const raceOnPrimary = await race(library, { ...place, name: task.name })
  await primary.query('update hot set n = 0 where n > 0')
  await library.toldOfWrites?.(place)
  const raceOnReplica = await race(library, { ...place, name: task.name, replica })
  return { library: library.name, speed, raceOnPrimary, raceOnReplica }
}

const loadRow: Place['load'] = async (db, id) => {
  const { rows } = await db.query<{ id: number; n: string; detail: string }>(
    'select id, n, detail from hot where id = $1',
    [id],
  )
  const { n, detail } = rows[0]!
  return { id, n: Number(n), detail } satisfies Row
}

process.send?.(await takeTurn(JSON.parse(process.env.TIDEMARK_BENCH_TURN!) as TurnTask), () => process.exit(0))
