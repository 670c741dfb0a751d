import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Child } from '@tidemark/local'
import { CRASH_VARIABLE, type Crash, encodeCrash } from './crash-points.ts'

const MAIN = join(import.meta.dirname, '../../../services/publisher/src/main.ts')
const CONFIG = join(import.meta.dirname, 'crash.config.ts')
const CRASH_POINT = join(import.meta.dirname, 'crash-preload.ts')
/** Halves the time of a start. It is written at an orderly end alone: the last life of a schedule has one. */
const COMPILE_CACHE = join(tmpdir(), 'tidemark-compile-cache')
const QUIET = ['ExperimentalWarning', 'TimeoutNegativeWarning'].map((name) => `--disable-warning=${name}`)

export interface CrashProcessOptions {
  /** Of the source. */
  readonly name: string
  readonly primaryUrl: string
  readonly brokers: readonly string[]
  /** Receives the log of every life. */
  readonly folder: string
}

export function logFileIn(folder: string): string {
  return join(folder, 'publisher.log')
}

/** One life of a publisher in a process of its own, which ends itself at the crash point, if one is given. */
export function startLife(options: CrashProcessOptions, crash?: Crash): Promise<Child> {
  return Child.start({
    name: 'publisher',
    command: process.execPath,
    args: [...QUIET, ...(crash ? ['--import', CRASH_POINT] : []), MAIN],
    logFile: logFileIn(options.folder),
    env: {
      ...process.env,
      ...(crash && { [CRASH_VARIABLE]: encodeCrash(crash) }),
      NODE_COMPILE_CACHE: COMPILE_CACHE,
      TIDEMARK_TEST_NAME: options.name,
      TIDEMARK_CONFIG: CONFIG,
      TIDEMARK_PRIMARY_URL: options.primaryUrl,
      TIDEMARK_KAFKA_BROKERS: options.brokers.join(','),
      TIDEMARK_BEAT_MS: '50',
      TIDEMARK_TELEMETRY_PORT: '0',
    },
    // Its death is what is wanted; whether it was the right one, the scenario looks.
    onDeath: () => undefined,
  })
}
