/** For `JSON.stringify`: a number of JSON would lose the last digits. */
export function withBigints(_: string, value: unknown): unknown {
  return typeof value === 'bigint' ? value.toString() : value
}
