import { type Admin, Kafka, logLevel } from 'kafkajs'

/** Whether the brokers answer, and the coordinator of groups too: it comes up last, and every consumer needs it. */
export async function brokersAnswer(brokers: string): Promise<boolean> {
  return withAdmin(brokers, async (admin) => {
    // It makes the client learn who the brokers are; nothing else here does.
    await admin.describeCluster()
    return (await admin.describeGroups(['tidemark-local'])).groups.length === 1
  })
}

/** Work on a connection of its own. */
export async function withAdmin<T>(brokers: string, work: (admin: Admin) => Promise<T>): Promise<T> {
  const kafka = new Kafka({
    clientId: 'tidemark-local',
    brokers: brokers.split(','),
    connectionTimeout: 1_000,
    requestTimeout: 5_000,
    retry: { retries: 0 },
    logLevel: logLevel.NOTHING,
  })
  const admin = kafka.admin()
  try {
    await admin.connect()
    return await work(admin)
  } finally {
    await admin.disconnect()
  }
}
