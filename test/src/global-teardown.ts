import './global-setup.ts'

export default async function globalTeardown(): Promise<void> {
  const { servers, namedHere = [] } = globalThis.tidemarkServers ?? {}
  // In watch mode the next run comes in this same process, and must not take these servers for given.
  for (const name of namedHere) delete process.env[name]
  await servers?.stop()
}
