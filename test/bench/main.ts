import { readdir } from 'node:fs/promises'
import { join } from 'node:path'

const BENCH = '.bench.ts'

const [name = '', ...args] = process.argv.slice(2)
const names = (await readdir(import.meta.dirname))
  .filter((file) => file.endsWith(BENCH))
  .map((f) => f.slice(0, -BENCH.length))
if (!names.includes(name)) {
  process.stderr.write(`usage: npm run bench -- ${names.join('|')} [arguments]\n`)
  process.exit(1)
}
const { run } = (await import(join(import.meta.dirname, name + BENCH))) as {
  run(args: readonly string[]): Promise<void>
}
await run(args)
