import { copyFile, readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { publint } from 'publint'
import { formatMessage } from 'publint/utils'
import { linkInstalled, type PackedPackage, PackedPackages, ROOT, run } from './packed.ts'

// `npm run check:packages`: what would be published is installed elsewhere, compiled against, run, and looked at by the
// tools that know how packages go wrong. Prints every mistake, and ends with 1 when there is one.

const CONSUMER = {
  compilerOptions: { module: 'nodenext', target: 'es2024', lib: ['es2024', 'esnext.disposable'], types: ['node'] },
  files: ['consumer.ts'],
}
const STRICT = { strict: true, exactOptionalPropertyTypes: true, skipLibCheck: false }

async function mistakesOf({ name, folder, tarball, manifest }: PackedPackage): Promise<string[]> {
  const pack = { tarball: (await readFile(tarball)).buffer as ArrayBuffer }
  const { messages, pkg } = await publint({ pack, strict: true })
  const said = messages.map((message) => `publint: ${formatMessage(message, pkg, { color: false })}`)
  const text = JSON.stringify({ ...manifest.dependencies, ...manifest.peerDependencies, ...manifest.exports })
  if (/workspace:|catalog:|\.\/src\//.test(text)) said.push('its manifest is the workspace’s')
  const files = await readdir(folder, { recursive: true })
  for (const wanted of ['README.md', 'LICENSE']) if (!files.includes(wanted)) said.push(`${wanted} is missing`)
  const stray = files.filter((file) => /\.test\.|\/testing\//.test(file))
  if (stray.length > 0) said.push(`tests are packed: ${stray.join(', ')}`)
  const types = await failureOf(join(ROOT, 'test/node_modules/.bin/attw'), [tarball, '--profile', 'esm-only'], folder)
  return [...said, ...types].map((mistake) => `${name}: ${mistake}`)
}

/** Every Lua command that there is in the sources lies beside the code that reads it. */
async function missingCommands({ folder }: PackedPackage): Promise<string[]> {
  const luaIn = async (at: string) => (await readdir(at, { recursive: true })).filter((file) => file.endsWith('.lua'))
  const packed = await luaIn(join(folder, 'dist/commands'))
  const written = await luaIn(join(ROOT, 'packages/guard/src/commands'))
  const missing = written.filter((file) => !packed.includes(file))
  return missing.map((file) => `guard: ${file} is not packed`)
}

/** Compiles what an app would write, strictly and with every declaration that it meets, and runs it by plain Node. */
async function mistakesOfUse({ folder }: PackedPackages): Promise<string[]> {
  const modules = join(folder, 'node_modules')
  await linkInstalled('@types/node', join(ROOT, 'node_modules'), modules)
  await linkInstalled('@types/express', join(ROOT, 'packages/refill/node_modules'), modules)
  await copyFile(join(import.meta.dirname, 'consumer.ts'), join(folder, 'consumer.ts'))
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type: 'module' }))
  const compilerOptions = { ...CONSUMER.compilerOptions, ...STRICT }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify({ ...CONSUMER, compilerOptions }))
  const compiled = await failureOf(join(ROOT, 'node_modules/.bin/tsc'), ['-p', 'tsconfig.json'], folder)
  if (compiled.length > 0) return compiled
  const said = await run(process.execPath, ['consumer.js'], folder).catch(String)
  return said.trim() === 'UNPROVABLE function function' ? [] : [`an app that uses it says ${said}`]
}

async function failureOf(command: string, args: readonly string[], cwd: string): Promise<string[]> {
  return run(command, args, cwd).then(
    () => [],
    (error: { stdout?: string; stderr?: string }) => [`${error.stdout ?? ''}${error.stderr ?? error}`.trim()],
  )
}

await using packed = await PackedPackages.make()
const mistakes = [
  ...(await Promise.all(packed.all.map(mistakesOf))).flat(),
  ...(await missingCommands(packed.all.find(({ name }) => name === 'guard')!)),
  ...(await mistakesOfUse(packed)),
]
for (const mistake of mistakes) console.error(mistake)
process.exitCode = mistakes.length > 0 ? 1 : 0
