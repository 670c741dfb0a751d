import { Pool } from 'pg'
import type { PipelineContext } from '../pipeline/pipeline-context.ts'
import { tidemark } from '../pipeline/tidemark-command.ts'

/** The two roles of `tidemark init --print-sql`, in a database where PUBLIC may do nothing. */
export class LeastPrivilegeRoles implements AsyncDisposable {
  readonly publisher: string
  readonly app: string
  readonly #context: PipelineContext
  readonly #sql: string

  private constructor(context: PipelineContext, sql: string) {
    this.#context = context
    this.#sql = sql
    this.publisher = `${context.name}_publisher`
    this.app = `${context.name}_app`
  }

  static async grant(context: PipelineContext): Promise<LeastPrivilegeRoles> {
    const { name, primary } = context
    const flags = ['--publisher-role', `${name}_publisher`, '--app-role', `${name}_app`]
    const { stdout } = await tidemark(context, ['init', '--print-sql', ...flags])
    await primary.query(`revoke all on database ${name} from public; revoke all on schema public from public`)
    const roles = new LeastPrivilegeRoles(context, stdout)
    await roles.grant()
    return roles
  }

  /** Runs what was printed, once more. */
  async grant(): Promise<void> {
    await this.#context.primary.query(this.#sql)
  }

  /** What takes each thing that was granted to the publisher away again, one by one. */
  get revocations(): string[] {
    const { name } = this.#context
    const granted = [...this.#sql.matchAll(/^[^-\n]*grant ([^;']+?) on ([^;']+?) to ([^;']+)/gm)]
    const revoked = granted.flatMap(([, privileges = '', object = '', grantees = '']) =>
      grantees.includes(`"${this.publisher}"`) ? privileges.split(/, (?![^(]*\))/).flatMap(each(object, name)) : [],
    )
    return [
      `alter role ${this.publisher} noreplication`,
      ...revoked.map((what) => `revoke ${what} from ${this.publisher}`),
    ]
  }

  urlOf(role: string): string {
    const url = new URL(this.#context.servers.primaryUrl)
    url.username = role
    return url.href
  }

  poolOf(role: string): Pool {
    return new Pool({ connectionString: this.urlOf(role), max: 4 })
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const role of [this.publisher, this.app]) {
      await this.#context.primary.query(`drop owned by ${role}; drop role ${role}`)
    }
  }
}

/** Privileges on columns are granted of several at once, and needed each for its own. */
function each(object: string, database: string) {
  return (privilege: string): string[] => {
    const [, verb, columns] = /^(\w+)(?: \((.*)\))?$/.exec(privilege) ?? []
    const on = object.replace('%I', database)
    return columns ? columns.split(', ').map((column) => `${verb} (${column}) on ${on}`) : [`${verb} on ${on}`]
  }
}
