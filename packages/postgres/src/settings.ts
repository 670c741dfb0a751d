import { SettingsMistakes, serverUrl } from '@tidemark/service'
import { z } from 'zod'
import { tlsMistakes } from './tls-parameters.ts'

/** A connection URL of Postgres whose parameters for TLS are kept, not left out. */
export function postgresUrl() {
  return serverUrl('postgres', 'postgresql')
    .superRefine((url, context) => {
      for (const message of tlsMistakes(url)) context.addIssue({ code: 'custom', message })
    })
    .meta({ secret: true })
}

/** How to reach the primary: to be spread into the settings of whatever does. {@link primaryUrl} makes use of them. */
export const primarySettings = {
  TIDEMARK_PRIMARY_URL: postgresUrl().describe('The primary, with a role that may replicate.'),
  TIDEMARK_PRIMARY_PASSWORD_FILE: z
    .string()
    .optional()
    .describe('The file that holds the role’s password, where the URL does not.'),
}

export type PrimarySettings = z.output<z.ZodObject<typeof primarySettings>>

/** The primary's URL, with the password of the file in it. Throws SETTINGS_INVALID. */
export function primaryUrl(given: PrimarySettings): string {
  const { TIDEMARK_PRIMARY_URL: url, TIDEMARK_PRIMARY_PASSWORD_FILE: file } = given
  if (file === undefined) return url
  const mistakes = new SettingsMistakes()
  const at = new URL(url)
  if (at.password !== '') mistakes.add('TIDEMARK_PRIMARY_PASSWORD_FILE: the URL holds a password, too')
  const password = mistakes.secret('TIDEMARK_PRIMARY_PASSWORD', undefined, file)
  mistakes.throwIfAny()
  at.password = encodeURIComponent(password!)
  return at.href
}
