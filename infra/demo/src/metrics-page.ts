/**
 * The sum of a counter's samples whose labels have these values, from a page of `/metrics`. Undefined when there is no
 * such sample: what was never counted must not pass for zero.
 */
export function sumOf(page: string, name: string, labels: Readonly<Record<string, string>> = {}): number | undefined {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`)
  let sum: number | undefined
  for (const line of page.split('\n')) {
    const [, sample, given = '', value] = /^([a-zA-Z_:][\w:]*)(?:\{(.*)\})? (\S+)/.exec(line) ?? []
    if (sample !== name || !wanted.every((pair) => given.split(',').includes(pair))) continue
    sum = (sum ?? 0) + Number(value)
  }
  return sum
}
