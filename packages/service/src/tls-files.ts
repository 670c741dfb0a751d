import { X509Certificate } from 'node:crypto'
import { createSecureContext } from 'node:tls'
import type { SettingsMistakes } from './settings-mistakes.ts'

/** In PEM. */
export interface TlsPems {
  /** Of the authority that signed the server's certificate; those that Node knows unless given. */
  readonly ca?: string | undefined
  /** For mutual TLS. */
  readonly cert?: string | undefined
  readonly key?: string | undefined
}

/** The names of the settings that hold the files' paths. */
export type TlsFileNames = Readonly<Record<keyof TlsPems, string>>

/** What the files hold, checked as far as that goes before anything connects. */
export function readTlsFiles(
  names: TlsFileNames,
  given: Readonly<Record<string, unknown>>,
  mistakes: SettingsMistakes,
): TlsPems {
  if ((given[names.cert] === undefined) !== (given[names.key] === undefined)) {
    mistakes.add(`${names.cert} and ${names.key}: give both or none`)
  }
  const held = (name: string) => mistakes.file(name, given[name] as string | undefined)
  const pems = { ca: held(names.ca), cert: held(names.cert), key: held(names.key) }
  checkPems(names, pems, mistakes)
  return pems
}

/** Node takes a CA file without any certificate for one that trusts nobody, and says so only when it connects. */
function checkPems(names: TlsFileNames, { ca, cert, key }: TlsPems, mistakes: SettingsMistakes): void {
  if (ca !== undefined && !succeeds(() => new X509Certificate(ca))) {
    mistakes.add(`${names.ca}: holds no certificate in PEM`)
  }
  if (cert !== undefined && key !== undefined && !succeeds(() => createSecureContext({ cert, key }))) {
    mistakes.add(`${names.cert} and ${names.key}: not a certificate and its key in PEM`)
  }
}

function succeeds(attempt: () => unknown): boolean {
  try {
    attempt()
    return true
  } catch {
    return false
  }
}
