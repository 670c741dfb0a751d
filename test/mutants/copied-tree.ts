import { execFile } from 'node:child_process'
import { cp, mkdtemp, readFile, realpath, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, relative } from 'node:path'
import { promisify } from 'node:util'
import { broken, type Mutant, pathOf } from './rule.ts'
import { type JestReport, type Verdict, verdictOn } from './verdict.ts'

const run = promisify(execFile)
const MAX_OUTPUT_BYTES = 64 * 1024 * 1024
/** Of one file; for the first run it includes installing. */
const FILE_MS = 180_000

/**
 * A copy of the project as it stands, with an install of its own: pnpm writes through links, so a copy whose modules
 * were the project's would break them.
 */
export class CopiedTree implements AsyncDisposable {
  readonly #root: string
  readonly #environment: NodeJS.ProcessEnv

  static async of(root: string, environment: NodeJS.ProcessEnv): Promise<CopiedTree> {
    const listed = ['ls-files', '-z', '--cached', '--others', '--exclude-standard']
    const { stdout } = await run('git', listed, { cwd: root, maxBuffer: MAX_OUTPUT_BYTES })
    const copy = await realpath(await mkdtemp(join(tmpdir(), 'tidemark-mutants-')))
    const files = new Set(stdout.split('\0').filter((file) => file !== ''))
    for (const file of files) await cp(join(root, file), join(copy, file)).catch(unlessDeleted)
    return new CopiedTree(copy, environment)
  }

  private constructor(root: string, environment: NodeJS.ProcessEnv) {
    this.#root = root
    this.#environment = environment
  }

  /** What the mutant's tests say of it; the file is whole again afterwards. */
  async try(mutant: Mutant): Promise<Verdict> {
    const file = join(this.#root, pathOf(mutant.file))
    const whole = await readFile(file, 'utf8')
    await writeFile(file, broken(whole, mutant))
    try {
      return await this.test(mutant.tests, mutant.named)
    } finally {
      await writeFile(file, whole)
    }
  }

  async test(files: readonly string[], named?: string): Promise<Verdict> {
    const output = join(this.#root, 'mutants.json')
    await rm(output, { force: true })
    const only = named === undefined ? [] : ['--testNamePattern', named]
    const jest = ['--json', `--outputFile=${output}`, '--runInBand', ...only, '--runTestsByPath', ...files.map(pathOf)]
    const options = {
      cwd: this.#root,
      env: this.#environment,
      timeout: FILE_MS * files.length,
      maxBuffer: MAX_OUTPUT_BYTES,
    }
    // That it ends with an error is what is hoped for: its report says which.
    const why = await run(process.execPath, ['infra/bootstrap.mjs', 'test', ...jest], options).catch(String)
    const report = await readFile(output, 'utf8').catch(() => null)
    if (report === null) return { code: 'void', why: `no report was written: ${String(why).slice(0, 500)}` }
    const verdict = verdictOn(JSON.parse(report) as JestReport)
    return verdict.code === 'red' ? { ...verdict, file: relative(this.#root, verdict.file) } : verdict
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.#root, { recursive: true })
  }
}

function unlessDeleted(error: NodeJS.ErrnoException): void {
  if (error.code !== 'ENOENT') throw error
}
