import { execFile } from 'node:child_process'
import { mkdir, mkdtemp, readdir, readFile, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'

const exec = promisify(execFile)
export const ROOT = dirname(dirname(import.meta.dirname))
const PACKAGES = ['protocol', 'guard', 'refill'] as const
const PNPM = ['--yes', 'pnpm@12.21.0']
/** A registry that does not answer is none of this check's business. */
const TIMEOUT_MS = 120_000

export interface Manifest {
  readonly name: string
  readonly dependencies?: Readonly<Record<string, string>>
  readonly peerDependencies?: Readonly<Record<string, string>>
  readonly exports: Readonly<Record<string, unknown>>
}

export interface PackedPackage {
  readonly name: (typeof PACKAGES)[number]
  readonly tarball: string
  /** As it is installed. */
  readonly folder: string
  readonly manifest: Manifest
}

export async function run(command: string, args: readonly string[], cwd: string): Promise<string> {
  const { stdout, stderr } = await exec(command, args, { cwd, timeout: TIMEOUT_MS, encoding: 'utf8' })
  return `${stdout}${stderr}`
}

/** The packages as npm would get them, installed in an empty folder outside of the workspace. */
export class PackedPackages implements AsyncDisposable {
  readonly folder: string
  readonly all: readonly PackedPackage[]

  private constructor(folder: string, all: readonly PackedPackage[]) {
    this.folder = folder
    this.all = all
  }

  static async make(): Promise<PackedPackages> {
    const folder = await mkdtemp(join(tmpdir(), 'tidemark-packed-'))
    const all: PackedPackage[] = []
    // In this order, for each one's types are built against those of the one before.
    for (const name of PACKAGES) all.push(await install(folder, name))
    return new PackedPackages(folder, all)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await rm(this.folder, { recursive: true, force: true })
  }
}

async function install(into: string, name: PackedPackage['name']): Promise<PackedPackage> {
  const at = join(ROOT, 'packages', name)
  await run('npx', [...PNPM, 'build'], at)
  const packedAt = join(into, 'tarballs', name)
  await mkdir(packedAt, { recursive: true })
  await run('npx', [...PNPM, 'pack', '--pack-destination', packedAt], at)
  const [tarball] = await readdir(packedAt)
  const folder = join(into, 'node_modules/@tidemark', name)
  await mkdir(folder, { recursive: true })
  await run('tar', ['-xzf', join(packedAt, tarball!), '-C', folder, '--strip-components=1'], into)
  const manifest = JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest
  const others = Object.keys({ ...manifest.dependencies, ...manifest.peerDependencies })
  for (const other of others) await linkInstalled(other, join(at, 'node_modules'), join(into, 'node_modules'))
  return { name, tarball: join(packedAt, tarball!), folder, manifest }
}

/** What the packed manifest names, and nothing else, from where the workspace has it: no registry is asked. */
export async function linkInstalled(name: string, from: string, into: string): Promise<void> {
  if (name.startsWith('@tidemark/')) return
  await mkdir(dirname(join(into, name)), { recursive: true })
  await symlink(join(from, name), join(into, name)).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error // two packages name it
  })
}
