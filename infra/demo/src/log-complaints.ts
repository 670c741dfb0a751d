const WARN = 40

/** What a service's log complains of, one short line each: warnings and worse, and whatever is no log record at all. */
export function complaintsIn(log: string): string[] {
  return log.split('\n').flatMap((line) => {
    if (line.trim() === '') return []
    const record = recordIn(line)
    if (record === undefined) return [line]
    if (record.level < WARN) return []
    const reason = record.err?.code ?? record.err?.message ?? record.cause ?? record.reason
    return [`${record.time.slice(11, 19)} ${record.msg}${reason === undefined ? '' : ` (${reason})`}`]
  })
}

interface LogRecord {
  readonly level: number
  readonly time: string
  readonly msg: string
  readonly err?: { readonly code?: string; readonly message?: string }
  readonly cause?: string
  readonly reason?: string
}

function recordIn(line: string): LogRecord | undefined {
  try {
    const record = JSON.parse(line) as Partial<LogRecord> | null
    return record?.level !== undefined && record.time !== undefined ? ({ msg: '', ...record } as LogRecord) : undefined
  } catch {
    return undefined // what the runtime itself printed, such as a stack
  }
}
