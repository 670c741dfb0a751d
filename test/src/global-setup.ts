import { givenServers, type LocalServers, startServers } from '@tidemark/local'

declare global {
  var tidemarkServers: { readonly servers: LocalServers; readonly namedHere: readonly string[] } | undefined
}

/** Starts the servers that the whole run shares. Tests find them with `localServers()`, through the environment. */
export default async function globalSetup(): Promise<void> {
  const onProgress = (message: string) => process.stderr.write(`${message}\n`)
  const servers = await startServers({ given: givenServers(process.env), durable: false, onProgress })
  const namedHere = Object.keys(servers.environment).filter((name) => !process.env[name])
  globalThis.tidemarkServers = { servers, namedHere }
  Object.assign(process.env, servers.environment)
}
