import { expect, test } from '@jest/globals'
import { TidemarkError } from '@tidemark/protocol'
import type { Environment } from '@tidemark/service'
import { ArgumentMistakes } from './argument-mistakes.ts'
import type { Command } from './command.ts'
import { runCommandLine } from './command-line.ts'
import { doctor } from './doctor/doctor.ts'
import type { ExitCode } from './exit-code.ts'
import { init } from './init/init.ts'
import { inspect } from './inspect/inspect.ts'
import { purge } from './purge/purge.ts'
import { replay } from './replay/replay.ts'
import { status } from './status/status.ts'

const COMMANDS = [init, doctor, status, inspect, purge, replay]

/** A command that does one thing. */
function doing(run: () => Promise<ExitCode>): Command {
  return { name: 'do', summary: '', help: '', options: { deep: { type: 'boolean' } }, run }
}

async function runs(commands: readonly Command[], ...args: string[]) {
  return runsWith({}, commands, ...args)
}

async function runsWith(env: Environment, commands: readonly Command[], ...args: string[]) {
  const printed: string[] = []
  const complaints: string[] = []
  const terminal = {
    env,
    print: (t: string) => printed.push(t),
    complain: (t: string) => complaints.push(t),
    interruption: () => new AbortController().signal,
  }
  const code = await runCommandLine(commands, args, terminal)
  return { code, printed: printed.join('\n'), complaints: complaints.join('\n') }
}

test('--help lists every command and every variable', async () => {
  const { code, printed } = await runs(COMMANDS, '--help')
  expect(code).toBe(0)
  for (const name of ['init', 'doctor', 'status', 'TIDEMARK_PRIMARY_URL']) expect(printed).toContain(name)
})

test.each(COMMANDS.map((c) => [c.name, c] as const))('%s --help names each of its flags', async (name, command) => {
  const { code, printed } = await runs(COMMANDS, name, '--help')
  expect(code).toBe(0)
  expect(printed).toContain(`usage: tidemark ${name}`)
  for (const flag of Object.keys(command.options)) expect(printed).toContain(`--${flag}`)
})

test('without a command, or with one that there is not, those that there are are listed', async () => {
  for (const args of [[], ['destroy']]) {
    const { code, printed, complaints } = await runs(COMMANDS, ...args)
    expect([code, printed]).toEqual([2, ''])
    expect(complaints).toContain('doctor')
  }
})

test('an unknown flag, an argument too many and settings that are missing are mistakes', async () => {
  expect(await runs([doing(async () => 0)], 'do', '--depp')).toMatchObject({ code: 2 })
  expect(await runs([doing(async () => 0)], 'do', 'it')).toMatchObject({ code: 2 })
  const { code, complaints } = await runs(COMMANDS, 'doctor')
  expect(code).toBe(2)
  expect(complaints).toMatch(/TIDEMARK_PRIMARY_URL is missing[\s\S]*TIDEMARK_KAFKA_BROKERS is missing/)
})

test('arguments without a flag reach a command that takes them, and mistakes in them are told together', async () => {
  const strict: Command = {
    ...doing(async () => 0),
    takesOperands: true,
    run: async (_flags, { print }, operands) => {
      const mistakes = new ArgumentMistakes()
      for (const operand of operands) if (operand.startsWith('un')) mistakes.add(`${operand} is not known`)
      mistakes.throwIfAny()
      print(operands.join(' '))
      return 0
    },
  }
  expect(await runs([strict], 'do', 'this', '--deep', 'that')).toMatchObject({ code: 0, printed: 'this that' })
  const { code, complaints } = await runs([strict], 'do', 'undue', 'unlike')
  expect(code).toBe(2)
  expect(complaints).toMatch(/undue is not known\n +unlike is not known\n.*--help/)
})

test('what goes wrong is one sentence, without a password', async () => {
  const failing = doing(async () => {
    throw new TidemarkError('SERVER_UNREACHABLE', 'postgres://u:hidden@h/d is away')
  })
  const { code, complaints } = await runs([failing], 'do')
  expect([code, complaints]).toEqual([1, 'tidemark do: SERVER_UNREACHABLE: postgres://u:***@h/d is away'])
})

test('what a slip in the environment leaves unset is told, whatever becomes of the command', async () => {
  const slip = { TIDEMARK_KAFKA_TLSS: 'true' }
  const told = 'TIDEMARK_KAFKA_TLSS is set and not known: was TIDEMARK_KAFKA_TLS meant?'
  expect(await runsWith(slip, [doing(async () => 0)], 'do')).toMatchObject({ code: 0, complaints: told })
  const failing = doing(async () => Promise.reject(new Error('closed connection')))
  expect(await runsWith(slip, [failing], 'do')).toMatchObject({ code: 1, complaints: expect.stringContaining(told) })
})

test('a command’s own exit code is the process’s', async () => {
  expect(await runs([doing(async () => 10)], 'do', '--deep')).toMatchObject({ code: 10 })
})
