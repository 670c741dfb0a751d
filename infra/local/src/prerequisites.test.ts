import { copyFile } from 'node:fs/promises'
import { expect, test } from '@jest/globals'
import { findJava } from './java.ts'
import { fetchWithMaven } from './maven.ts'
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
