import type { OutageStage } from './outage-stage.ts'

/** A way in which a server, or the network before it, goes away for a while. */
export interface Outage {
  /** Whose network the publisher goes through; otherwise it is next to both servers. */
  readonly through?: 'postgres' | 'kafka'
  /** Whether nobody can commit meanwhile. */
  readonly stopsWrites?: boolean
  readonly begin: (stage: OutageStage) => Promise<void> | void
  /** Returns once the server can be reached again. */
  readonly end: (stage: OutageStage) => Promise<void> | void
}

const postgresIsGone = {
  stopsWrites: true,
  end: ({ postgres }: OutageStage) => postgres.start(),
}

/** A link that comes back after a cut: what was under way on it is lost. */
async function relink(network: OutageStage['kafkaNetwork']): Promise<void> {
  network.cut()
  await network.restore()
}

/** Enough for what is written, with little to spare for what has piled up. */
const NARROW = { bytesPerSecond: 100_000, delayMs: 50 }

export const OUTAGES = {
  'Kafka stopped': { begin: ({ kafka }) => kafka.stop(), end: ({ kafka }) => kafka.start() },
  'Kafka killed': { begin: ({ kafka }) => kafka.kill(), end: ({ kafka }) => kafka.start() },
  'Kafka frozen': { begin: ({ kafka }) => kafka.pause(), end: ({ kafka }) => kafka.resume() },
  'Postgres stopped, fast': { ...postgresIsGone, begin: ({ postgres }) => postgres.stop('fast') },
  'Postgres stopped, immediate': { ...postgresIsGone, begin: ({ postgres }) => postgres.stop('immediate') },
  'Postgres killed': { ...postgresIsGone, begin: ({ postgres }) => postgres.kill() },
  'Postgres link silent, then cut': {
    through: 'postgres',
    begin: ({ postgresNetwork }) => postgresNetwork.silence(),
    end: ({ postgresNetwork }) => relink(postgresNetwork),
  },
  'Postgres link silent from the server, then cut': {
    through: 'postgres',
    begin: ({ postgresNetwork }) => postgresNetwork.silence({ directions: ['to-client'] }),
    end: ({ postgresNetwork }) => relink(postgresNetwork),
  },
  'Postgres connections forgotten by a firewall': {
    through: 'postgres',
    begin: () => undefined,
    end: ({ postgresNetwork }) => postgresNetwork.silence({ newConnections: 'forwarded' }),
  },
  'Kafka link silent, then cut': {
    through: 'kafka',
    begin: ({ kafkaNetwork }) => kafkaNetwork.silence(),
    end: ({ kafkaNetwork }) => relink(kafkaNetwork),
  },
  'Kafka connections forgotten by a firewall': {
    through: 'kafka',
    begin: () => undefined,
    end: ({ kafkaNetwork }) => kafkaNetwork.silence({ newConnections: 'forwarded' }),
  },
  'Kafka link narrow': {
    through: 'kafka',
    begin: ({ kafkaNetwork }) => kafkaNetwork.slow(NARROW),
    end: ({ kafkaNetwork }) => kafkaNetwork.restore(),
  },
} as const satisfies Record<string, Outage>

export type OutageName = keyof typeof OUTAGES
