import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync } from 'node:fs'
import { readFile, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { Account } from './account.ts'
import { LocalServerError } from './errors.ts'
import { endLeftover } from './leftover.ts'
import { interrupted, waitUntil } from './wait.ts'
import { warden } from './warden.ts'

const TAIL_LINES = 20

export interface ChildSpec {
  /** What people call it, in errors. */
  readonly name: string
  readonly command: string
  readonly args?: readonly string[]
  /** The whole environment; that of this process by default. */
  readonly env?: NodeJS.ProcessEnv
  readonly cwd?: string
  readonly account?: Account | undefined
  /** Receives stdout and stderr, appended. Its folder must exist. A pid file is kept beside it. */
  readonly logFile: string
  /** Asked again and again until it is true; a refusal that it throws counts as "not yet". */
  readonly ready?: (signal: AbortSignal) => boolean | Promise<boolean>
  readonly readyTimeoutMs?: number
  /** The signal that asks for an orderly end. */
  readonly stopSignal?: NodeJS.Signals
  /** How long an orderly end may take before SIGKILL. */
  readonly stopTimeoutMs?: number
  /** Told when the process ends without having been asked to. By default a line on stderr. */
  readonly onDeath?: ((error: LocalServerError) => void) | undefined
  /** Interrupts the start. */
  readonly signal?: AbortSignal | undefined
}

export interface Exit {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
}

/**
 * One life of a process, from its start to its end. Its output goes straight to a file, so that neither a full pipe
 * nor the death of this process can stall it; its end is always observed and, when nobody asked for it, told.
 */
export class Child implements AsyncDisposable {
  /** Settles when the process has ended, however it did. Waiting for it does not keep this process alive. */
  readonly exited: Promise<Exit>
  readonly pid: number
  readonly #spec: ChildSpec
  readonly #process: ChildProcess
  #exit: Exit | undefined
  #endExpected = false
  #isReady = false

  private constructor(spec: ChildSpec, child: ChildProcess, pid: number) {
    this.#spec = spec
    this.#process = child
    this.pid = pid
    // A child that somebody forgot must not hold up the end of this process; the warden ends it then.
    child.unref()
    this.exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#exit = { code, signal }
        warden.removeProcess(pid)
        resolve(this.#exit)
        if (this.#isReady && !this.#endExpected) void this.#reportDeath()
      })
    })
  }

  /** Starts the process and waits until it is ready; if it does not get there, nothing of it remains. */
  static async start(spec: ChildSpec): Promise<Child> {
    if (spec.signal?.aborted) throw interrupted(`${spec.name} starts`, spec.signal)
    await endLeftover(pidFileOf(spec), dirname(spec.logFile))
    const child = await Child.#spawn(spec)
    try {
      await child.#untilReady()
      return child
    } catch (error) {
      await child.kill()
      throw error
    }
  }

  static async #spawn(spec: ChildSpec): Promise<Child> {
    const log = openSync(spec.logFile, 'a')
    try {
      const child = spawn(spec.command, spec.args ?? [], {
        ...spec.account,
        cwd: spec.cwd ?? dirname(spec.logFile),
        env: spec.env ?? process.env,
        stdio: ['ignore', log, log],
        // Ctrl-C goes to every process of the terminal's group; whoever started this one decides when it ends.
        detached: true,
      })
      const { promise: spawned, resolve, reject } = Promise.withResolvers<void>()
      child.once('spawn', resolve).once('error', reject)
      await spawned
      const pid = child.pid as number
      const started = new Child(spec, child, pid)
      warden.addProcess(pid)
      await writeFile(pidFileOf(spec), `${pid}\n`)
      return started
    } catch (error) {
      throw new LocalServerError('CHILD_NOT_STARTED', `${spec.name} can't be started: ${spec.command}`, {
        cause: error,
      })
    } finally {
      closeSync(log)
    }
  }

  get isRunning(): boolean {
    return this.#exit === undefined
  }

  /** Asks for an orderly end, and insists with SIGKILL at the deadline. */
  async stop(signal: NodeJS.Signals = this.#spec.stopSignal ?? 'SIGTERM'): Promise<Exit> {
    this.#endExpected = true
    this.#process.kill(signal)
    // A process that was paused sees the signal only when it goes on.
    this.#process.kill('SIGCONT')
    const timeout = setTimeout(() => this.#process.kill('SIGKILL'), this.#spec.stopTimeoutMs ?? 10_000)
    try {
      return await this.#ended()
    } finally {
      clearTimeout(timeout)
    }
  }

  /** Ends it as a crash would: SIGKILL. */
  async kill(): Promise<Exit> {
    this.#endExpected = true
    this.#process.kill('SIGKILL')
    return this.#ended()
  }

  /** Freezes it where it is: connections stay open, and nobody answers. */
  pause(): void {
    this.#process.kill('SIGSTOP')
  }

  resume(): void {
    this.#process.kill('SIGCONT')
  }

  /** The last lines of its log. */
  async logTail(lines = TAIL_LINES): Promise<string> {
    const text = await readFile(this.#spec.logFile, 'utf8').catch(() => '')
    return text.trimEnd().split('\n').slice(-lines).join('\n')
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.isRunning) await this.stop()
  }

  async #ended(): Promise<Exit> {
    this.#process.ref()
    const exit = await this.exited
    await rm(pidFileOf(this.#spec), { force: true })
    return exit
  }

  async #untilReady(): Promise<void> {
    const { name, ready = () => true, readyTimeoutMs = 30_000, signal } = this.#spec
    const probe = async (probing: AbortSignal) => !this.isRunning || (await ready(probing))
    await waitUntil(`${name} is ready`, probe, { timeoutMs: readyTimeoutMs, signal }).catch(async (error) => {
      if (!(error instanceof LocalServerError) || error.code !== 'DEADLINE') throw error
      throw new LocalServerError('DEADLINE', `${error.message}\n${await this.logTail()}`, { cause: error.cause })
    })
    if (!this.isRunning) throw await this.#death()
    this.#isReady = true
  }

  async #death(): Promise<LocalServerError> {
    const { code, signal } = await this.exited
    const how = signal ? `on ${signal}` : `with code ${code}`
    return new LocalServerError('CHILD_DIED', `${this.#spec.name} ended by itself ${how}\n${await this.logTail()}`)
  }

  async #reportDeath(): Promise<void> {
    const error = await this.#death()
    if (this.#spec.onDeath) this.#spec.onDeath(error)
    else process.stderr.write(`${error.message}\n`)
  }
}

function pidFileOf(spec: ChildSpec): string {
  return `${spec.logFile}.pid`
}
