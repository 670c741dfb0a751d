/**
 * `error`: changes are lost, or nothing can run. `warning`: it will be, if something else happens. `info`: worth knowing,
 * and never a reason to fail.
 */
export type Severity = 'error' | 'warning' | 'info'

export interface Finding {
  readonly severity: Severity
  /** Names the check, for machines: stable from one release to the next. */
  readonly check: string
  /** Which server: `source`, `topic`, `redis eu-west`, `replica eu-west`. */
  readonly where: string
  readonly what: string
  /** What goes wrong because of it. */
  readonly breaks: string
  /** SQL or configuration where there is some, else a sentence. */
  readonly mend: string
}

const ORDER: readonly Severity[] = ['error', 'warning', 'info']

export function bySeverity(findings: readonly Finding[]): Finding[] {
  return [...findings].sort((a, b) => ORDER.indexOf(a.severity) - ORDER.indexOf(b.severity))
}

export function findingText({ severity, check, where, what, breaks, mend }: Finding): string {
  const head = `${severity.padEnd(7)} ${where}: ${what}  [${check}]`
  return `${head}\n          breaks  ${breaks}\n          mend    ${mend.replaceAll('\n', `\n${' '.repeat(18)}`)}`
}
