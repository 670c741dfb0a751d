import { isTidemarkError } from '@tidemark/protocol'
import type { z } from 'zod'
import { type Logger, serviceLog } from './service-log.ts'
import { misspeltSettings, readSettings, type SettingsSchema } from './settings.ts'
import { settingsTable } from './settings-document.ts'

/** How a service's process ends. A supervisor need not restart on `configuration`: it would end the same way. */
export const EXIT = {
  /** It was asked to end and drained, or it had nothing more to do. */
  clean: 0,
  /** An error that nobody handled. */
  crashed: 1,
  /** SETTINGS_INVALID or CONFIG_INVALID: mend what is listed. */
  configuration: 2,
  /** Draining took longer than TIDEMARK_DRAIN_TIMEOUT_MS. */
  drainDeadline: 3,
  /** A second signal came before draining was done. */
  forced: 4,
} as const

export interface RunContext {
  /** Aborted at the first SIGTERM or SIGINT: end in good order, then return or throw the signal's reason. */
  readonly signal: AbortSignal
  readonly log: Logger
}

export interface Service<S extends SettingsSchema> {
  readonly name: string
  /** One sentence for `--help`. */
  readonly description: string
  /** From {@link serviceSettings}. */
  readonly settings: S
  /** The service itself: returns when it is done. Whatever it throws ends the process. */
  readonly run: (settings: z.output<S>, context: RunContext) => Promise<void>
}

/**
 * The life of a service's process, from its arguments to its exit code. Ends the process in every case, so that no
 * forgotten handle keeps a drained service alive.
 */
export async function runService<S extends SettingsSchema>(service: Service<S>): Promise<never> {
  answerArguments(service)
  const settings = settingsOrExit(service)
  const log = serviceLog(service.name, settings.TIDEMARK_LOG_LEVEL)
  for (const slip of misspeltSettings(service.settings, process.env)) log.warn(slip, 'a variable is not known')
  for (const event of ['unhandledRejection', 'uncaughtException'] as const) {
    process.on(event, (error) => process.exit(reportCrash(log, error)))
  }
  const signal = endOnSignals(log, settings.TIDEMARK_DRAIN_TIMEOUT_MS)
  try {
    await service.run(settings, { signal, log })
  } catch (error) {
    if (!signal.aborted || !isAbort(error, signal)) process.exit(reportCrash(log, error))
  }
  log.info({}, 'ended in good order')
  process.exit(EXIT.clean)
}

function answerArguments(service: Service<SettingsSchema>): void {
  const [argument] = process.argv.slice(2)
  if (argument === undefined) return
  if (argument === '--help' || argument === '-h') {
    console.log(
      `${service.name}: ${service.description}\n\nSet in the environment:\n\n${settingsTable(service.settings)}`,
    )
    process.exit(EXIT.clean)
  }
  console.error(`${service.name}: unknown argument ${JSON.stringify(argument)}; --help lists the settings`)
  process.exit(EXIT.configuration)
}

function settingsOrExit<S extends SettingsSchema>(service: Service<S>): z.output<S> {
  try {
    return readSettings(service.settings, process.env)
  } catch (error) {
    console.error(`${service.name}: ${error instanceof Error ? error.message : error}\n  --help prints the table`)
    process.exit(EXIT.configuration)
  }
}

/** The first signal aborts and starts the deadline; the second does not wait for it. */
function endOnSignals(log: Logger, drainTimeoutMs: number): AbortSignal {
  const ending = new AbortController()
  const end = (name: NodeJS.Signals) => {
    if (ending.signal.aborted) {
      log.warn({ signal: name }, 'a second signal: ending at once')
      process.exit(EXIT.forced)
    }
    log.info({ signal: name, drainTimeoutMs }, 'ending in good order; a second signal ends at once')
    setTimeout(() => {
      log.fatal({ drainTimeoutMs }, 'draining took too long')
      process.exit(EXIT.drainDeadline)
    }, drainTimeoutMs)
    ending.abort()
  }
  process.on('SIGTERM', end)
  process.on('SIGINT', end)
  return ending.signal
}

function isAbort(error: unknown, signal: AbortSignal): boolean {
  return error === signal.reason || (error instanceof Error && error.name === 'AbortError')
}

function reportCrash(log: Logger, error: unknown): number {
  if (!isTidemarkError(error)) {
    log.fatal({ err: error }, 'the service crashed')
    return EXIT.crashed
  }
  log.fatal({ err: error }, error.message)
  const mistaken = error.code === 'SETTINGS_INVALID' || error.code === 'CONFIG_INVALID'
  return mistaken ? EXIT.configuration : EXIT.crashed
}
