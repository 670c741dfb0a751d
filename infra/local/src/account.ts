import { execFileSync, spawnSync } from 'node:child_process'

/** The user that a process runs as. */
export interface Account {
  readonly uid: number
  readonly gid: number
}

/** Postgres refuses to run as root. Root lends it the account `nobody`; anybody else runs it as themselves. */
export function postgresAccount(): Account | undefined {
  if (process.getuid?.() !== 0) return undefined
  nobody ??= { uid: idOf('-u'), gid: idOf('-g') }
  return nobody
}

let nobody: Account | undefined

function idOf(flag: '-u' | '-g'): number {
  return Number(execFileSync('id', [flag, 'nobody'], { encoding: 'utf8' }))
}

/** Whether the account gets through every parent of the folder. Asked of the system: modes alone don't say it. */
export function canEnter(account: Account | undefined, folder: string): boolean {
  return spawnSync('sh', ['-c', 'cd "$1"', 'sh', folder], { ...account, cwd: '/', stdio: 'ignore' }).status === 0
}

export function canRun(account: Account | undefined, command: string, env: NodeJS.ProcessEnv): boolean {
  return spawnSync(command, ['--version'], { ...account, env, cwd: '/', stdio: 'ignore' }).status === 0
}
