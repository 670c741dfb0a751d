#!/usr/bin/env -S node --disable-warning=TimeoutNegativeWarning
import { runCommandLine } from './command-line.ts'
import { doctor } from './doctor/doctor.ts'
import { init } from './init/init.ts'
import { inspect } from './inspect/inspect.ts'
import { purge } from './purge/purge.ts'
import { replay } from './replay/replay.ts'
import { status } from './status/status.ts'

const code = await runCommandLine([init, doctor, status, inspect, purge, replay], process.argv.slice(2), {
  env: process.env,
  print: (text) => process.stdout.write(`${text}\n`),
  complain: (text) => process.stderr.write(`${text}\n`),
  interruption: () => {
    const interrupted = new AbortController()
    process.once('SIGINT', () => interrupted.abort())
    return interrupted.signal
  },
})
// A client that is slow to close must not hold the answer up; what was printed must be out first.
process.stdout.write('', () => process.exit(code))
