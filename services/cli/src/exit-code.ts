import { EXIT } from '@tidemark/service'

/** How a command ends: those of a service's process, and one of its own. */
export const EXIT_CODE = {
  fine: EXIT.clean,
  /** Something is wrong, or could not be done; it was said what. */
  wrong: EXIT.crashed,
  /** Arguments, settings or the source are mistaken: nothing was looked at. */
  mistaken: EXIT.configuration,
  /** Without `--yes`: there is something to do, and nothing was done. */
  pending: 10,
} as const

export type ExitCode = (typeof EXIT_CODE)[keyof typeof EXIT_CODE]
