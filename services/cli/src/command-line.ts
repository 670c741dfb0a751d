import { parseArgs } from 'node:util'
import { isTidemarkError } from '@tidemark/protocol'
import { redactUrls, settingsTable } from '@tidemark/service'
import { MistakenArguments } from './argument-mistakes.ts'
import type { Command, Flags, Terminal } from './command.ts'
import { EXIT_CODE, type ExitCode } from './exit-code.ts'
import { cliSettings, settingsSlips } from './settings.ts'

/** From the arguments to the exit code. Nothing is thrown: what goes wrong is said in a line, without any password. */
export async function runCommandLine(
  commands: readonly Command[],
  args: readonly string[],
  terminal: Terminal,
): Promise<ExitCode> {
  const [name, ...rest] = args
  if (name === '--help' || name === '-h') {
    return answer(terminal, `${overview(commands)}\n\nSet in the environment:\n\n${settingsTable(cliSettings)}`)
  }
  const command = commands.find((c) => c.name === name)
  if (!command) {
    const what = name === undefined ? 'which command?' : `there is no command ${JSON.stringify(name)}`
    terminal.complain(`tidemark: ${what}\n\n${overview(commands)}`)
    return EXIT_CODE.mistaken
  }
  const code = await ended(command, rest, terminal)
  // Settings that are missing are told with what may have been meant.
  if (code !== EXIT_CODE.mistaken) for (const slip of settingsSlips(terminal.env)) terminal.complain(slip)
  return code
}

async function ended(command: Command, rest: readonly string[], terminal: Terminal): Promise<ExitCode> {
  try {
    const { values, positionals } = parsed(command, rest)
    if (values.help) return answer(terminal, helpOf(command))
    return await command.run(values, terminal, positionals)
  } catch (error) {
    return report(command, error, terminal)
  }
}

function answer(terminal: Terminal, text: string): ExitCode {
  terminal.print(text)
  return EXIT_CODE.fine
}

function parsed({ options, takesOperands = false }: Command, args: readonly string[]) {
  const all = { ...options, help: { type: 'boolean', short: 'h' } } as const
  const { values, positionals } = parseArgs({ args: [...args], options: all, allowPositionals: takesOperands })
  return { values: values as Flags, positionals }
}

function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map((c) => c.name.length))
  const lines = commands.map((c) => `  ${c.name.padEnd(width)}  ${c.summary}`)
  return `usage: tidemark <command> [--help]\n\n${lines.join('\n')}`
}

function helpOf({ name, summary, help }: Command): string {
  return `tidemark ${name}: ${summary}\n\n${help}`
}

function report({ name }: Command, error: unknown, terminal: Terminal): ExitCode {
  const message = redactUrls(error instanceof Error ? error.message : String(error))
  terminal.complain(`tidemark ${name}: ${message}`)
  if (isArgumentError(error)) {
    terminal.complain(`  tidemark ${name} --help says what it takes`)
    return EXIT_CODE.mistaken
  }
  if (!isTidemarkError(error, 'SETTINGS_INVALID') && !isTidemarkError(error, 'CONFIG_INVALID')) return EXIT_CODE.wrong
  terminal.complain('  tidemark --help lists the settings')
  return EXIT_CODE.mistaken
}

/** What `parseArgs` throws, and a command that cannot use what it was given. */
function isArgumentError(error: unknown): boolean {
  if (error instanceof MistakenArguments) return true
  const { code } = error as { readonly code?: unknown }
  return typeof code === 'string' && code.startsWith('ERR_PARSE_ARGS')
}
