import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { isTidemarkError, type Source, TidemarkError } from '@tidemark/protocol'

/** Loads the source that `tidemark.config.ts` exports by default. Throws CONFIG_INVALID, saying what to mend. */
export async function loadSource(path: string): Promise<Source> {
  const file = resolve(path)
  const found = await stat(file).catch(() => undefined)
  if (!found?.isFile()) {
    const mend = 'TIDEMARK_CONFIG names it, relative to the working directory'
    throw new TidemarkError('CONFIG_INVALID', `there is no file ${file}`, { mend })
  }
  const module = await importModule(file)
  if (!('default' in module)) {
    throw new TidemarkError('CONFIG_INVALID', `${file} has no default export`, { mend: HOW })
  }
  if (!isSource(module.default)) {
    throw new TidemarkError('CONFIG_INVALID', `the default export of ${file} was not made by defineSource`, {
      mend: HOW,
    })
  }
  return module.default
}

const HOW = 'Write: export default defineSource({ … })'

async function importModule(file: string): Promise<object> {
  try {
    return (await import(pathToFileURL(file).href)) as object
  } catch (cause) {
    if (isTidemarkError(cause)) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new TidemarkError('CONFIG_INVALID', `${file} cannot be loaded: ${reason}`, { cause })
  }
}

/** By its shape: only defineSource parses templates. An `instanceof` would fail across two copies of the package. */
function isSource(value: unknown): value is Source {
  const { keyspaces, topic, slot } = (value ?? {}) as Partial<Record<keyof Source, unknown>>
  if (typeof topic !== 'string' || typeof slot !== 'string') return false
  if (typeof keyspaces !== 'object' || keyspaces === null) return false
  return Object.values(keyspaces).every((keyspace) => Array.isArray(keyspace?.template?.segments))
}
