import type { Connection, ConnectionPool, PooledConnection } from '../sources/database.ts'

type Rows = { rows: Record<string, unknown>[] }

/** Answers each statement by a function of its text, and remembers statements and how its connections came back. */
export class ScriptedPool implements ConnectionPool {
  readonly statements: string[] = []
  readonly released: ('returned' | 'destroyed')[] = []
  readonly #answer: (text: string) => Rows | Rows[]

  constructor(answer: (text: string) => Rows | Rows[] = () => ({ rows: [] })) {
    this.#answer = answer
  }

  async connect(): Promise<PooledConnection> {
    const query = async (text: string) => {
      this.statements.push(text)
      return this.#answer(text)
    }
    return {
      query: query as unknown as Connection['query'],
      release: (destroy) => this.released.push(destroy ? 'destroyed' : 'returned'),
    }
  }
}

/** Its connection answers until the given statement, and nothing from there on. */
export class BreakingPool extends ScriptedPool {
  constructor(breaksAt: string, answer: (text: string) => Rows | Rows[] = () => ({ rows: [] })) {
    let broken = false
    super((text) => {
      broken ||= text === breaksAt
      if (broken) throw new Error('Connection terminated unexpectedly')
      return answer(text)
    })
  }
}

/** Refuses one statement, as a server does, and goes on. */
export class RefusingPool extends ScriptedPool {
  constructor(refused: string, sqlState: string) {
    super((text) => {
      if (text === refused) throw Object.assign(new Error('refused'), { code: sqlState })
      return { rows: [] }
    })
  }
}

/** Hands out no connection. */
export class UnreachablePool implements ConnectionPool {
  async connect(): Promise<PooledConnection> {
    throw Object.assign(new Error('connect ECONNREFUSED'), { code: 'ECONNREFUSED' })
  }
}

/** Never answers a request for a connection, as a pool whose server is paused. */
export class SilentPool implements ConnectionPool {
  asked = 0

  connect(): Promise<PooledConnection> {
    this.asked++
    return new Promise(() => undefined)
  }
}
