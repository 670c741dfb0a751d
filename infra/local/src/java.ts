import { execFile } from 'node:child_process'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { LocalServerError } from './errors.ts'

const OLDEST_JAVA = 17

/** The Java that Kafka will run on: that of JAVA_HOME, else the one on the PATH. */
export async function findJava(env: NodeJS.ProcessEnv = process.env): Promise<string> {
  const java = env.JAVA_HOME ? join(env.JAVA_HOME, 'bin/java') : 'java'
  const major = await majorVersion(java, env)
  if (major >= OLDEST_JAVA) return java
  throw missing(`the one found (${java}) is version ${major}`)
}

/** It prints `openjdk version "17.0.15"` and more, to stderr. */
async function majorVersion(java: string, env: NodeJS.ProcessEnv): Promise<number> {
  try {
    const { stderr } = await promisify(execFile)(java, ['-version'], { env })
    return Number(/version "(\d+)/.exec(stderr)?.[1] ?? 0)
  } catch (cause) {
    throw missing('none was found', cause)
  }
}

function missing(found: string, cause?: unknown): LocalServerError {
  const advice = 'install one (on Debian: apt-get install openjdk-17-jre-headless), or give TIDEMARK_KAFKA_BROKERS'
  return new LocalServerError('JAVA_MISSING', `Kafka needs Java ${OLDEST_JAVA} or later, and ${found}: ${advice}`, {
    cause,
  })
}
