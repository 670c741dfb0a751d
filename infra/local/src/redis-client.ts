import { Redis } from 'ioredis'

/** Whether a server at this URL answers, its data loaded. */
export async function redisAnswers(url: string): Promise<boolean> {
  return withRedis(url, async (client) => (await client.ping()) === 'PONG')
}

/** Work on a connection of its own. */
export async function withRedis<T>(url: string, work: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, {
    lazyConnect: true,
    connectTimeout: 1_000,
    commandTimeout: 30_000,
    maxRetriesPerRequest: 0,
    retryStrategy: () => null,
  })
  // The command in hand is rejected with the same error.
  client.on('error', () => undefined)
  try {
    await client.connect()
    return await work(client)
  } finally {
    // Disconnecting a connection that is closed already leaves a timer that keeps the process alive for two seconds.
    if (client.status !== 'end') client.disconnect()
  }
}
