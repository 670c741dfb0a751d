import { copyFile, writeFile } from 'node:fs/promises'
import { expect, test } from '@jest/globals'
import { findJava } from './java.ts'
import { fetchWithMaven } from './maven.ts'
import { findRedis } from './redis-binary.ts'
import { RunFolder } from './run-folder.ts'

test('a missing Java is one sentence that says what to install', async () => {
  await expect(findJava({ PATH: '/nowhere' })).rejects.toMatchObject({
    code: 'JAVA_MISSING',
    message: expect.stringMatching(/^Kafka needs Java 17 or later, and none was found: install one [^\n]+$/),
  })
})

test('a JAVA_HOME without a Java is not passed over', async () => {
  await expect(findJava({ PATH: process.env.PATH, JAVA_HOME: '/nowhere' })).rejects.toMatchObject({
    code: 'JAVA_MISSING',
    cause: { path: '/nowhere/bin/java' },
  })
})

test('a missing Maven is one sentence that says what to install', async () => {
  await using folder = await RunFolder.create()
  await copyFile(`${import.meta.dirname}/../kafka/pom.xml`, folder.at('given.xml'))
  const fetch = {
    what: 'Kafka',
    instead: 'give its address',
    pom: folder.at('given.xml'),
    goal: [],
    folder: folder.path,
  }
  await expect(fetchWithMaven(fetch, { PATH: '/nowhere' })).rejects.toMatchObject({
    code: 'MAVEN_MISSING',
    message: expect.stringMatching(/^Kafka is fetched with Maven, and there is no mvn: install it [^\n]+$/),
  })
})

const RELEASES: [string, readonly number[] | undefined][] = [
  ['Redis server v=6.2.11 sha=00000000:0 malloc=jemalloc-5.1.0 bits=64', [6, 2]],
  ['Valkey server v=9.1.2 sha=00000000:1 malloc=libc bits=64', [9, 1]],
  ['Redis server v=6.0.16 sha=00000000:0 malloc=jemalloc-5.2.1 bits=64', undefined],
]

test.each(RELEASES)('of the server that the environment names, %s is told to be of %s', async (printed, version) => {
  await using folder = await RunFolder.create()
  const command = folder.at('server')
  await writeFile(command, `#!/bin/sh\necho '${printed}'\n`, { mode: 0o755 })
  const found = findRedis({}, { TIDEMARK_REDIS_BIN: command }).catch((error) => error.code)
  expect(await found).toEqual(version ? { command, version } : 'REDIS_MISSING')
})

test('a TIDEMARK_REDIS_BIN that is not there is not passed over', async () => {
  await expect(findRedis({}, { TIDEMARK_REDIS_BIN: '/nowhere/redis-server' })).rejects.toMatchObject({
    code: 'REDIS_MISSING',
    message: expect.stringMatching(/^TIDEMARK_REDIS_BIN: no server of 6.2 or later that runs is at \/nowhere[^\n]+$/),
  })
})
