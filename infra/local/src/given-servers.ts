import { LocalServerError } from './errors.ts'

/** Where the servers are. The home region's name is the first of `redisUrls`; every other region has a replica. */
export interface ServerUrls {
  readonly primaryUrl: string
  /** Region to the URL of its replica; the home region reads the primary. */
  readonly replicaUrls: Readonly<Record<string, string>>
  /** `host:port`, several with commas. */
  readonly kafkaBrokers: string
  /** Region to the URL of its Redis. */
  readonly redisUrls: Readonly<Record<string, string>>
}

/** The servers that run already, as the environment names them. */
export type GivenServers = Partial<ServerUrls> & Pick<ServerUrls, 'replicaUrls' | 'redisUrls'>

export const REGIONS = ['us-east', 'eu-west'] as const

const PRIMARY = 'TIDEMARK_PRIMARY_URL'
const BROKERS = 'TIDEMARK_KAFKA_BROKERS'
const replicaVariable = (region: string) => `TIDEMARK_REPLICA_${inCapitals(region)}_URL`
const redisVariable = (region: string) => `TIDEMARK_REDIS_${inCapitals(region)}_URL`

export function givenServers(env: NodeJS.ProcessEnv, regions: readonly string[] = REGIONS): GivenServers {
  const remote = regions.slice(1)
  const replicaUrls = named(remote, (region) => env[replicaVariable(region)])
  refuseHalves(env[PRIMARY], remote, replicaUrls)
  return {
    ...(env[PRIMARY] ? { primaryUrl: env[PRIMARY] } : {}),
    ...(env[BROKERS] ? { kafkaBrokers: env[BROKERS] } : {}),
    replicaUrls,
    redisUrls: named(regions, (region) => env[redisVariable(region)]),
  }
}

/** The environment that names these servers, for a process that is to use them. */
export function serverEnvironment({
  primaryUrl,
  replicaUrls,
  kafkaBrokers,
  redisUrls,
}: ServerUrls): Record<string, string> {
  return Object.fromEntries([
    [PRIMARY, primaryUrl],
    ...Object.entries(replicaUrls).map(([region, url]) => [replicaVariable(region), url]),
    [BROKERS, kafkaBrokers],
    ...Object.entries(redisUrls).map(([region, url]) => [redisVariable(region), url]),
  ])
}

/** The servers that were started for this run of the tests. */
export function localServers(env: NodeJS.ProcessEnv = process.env, regions: readonly string[] = REGIONS): ServerUrls {
  const { primaryUrl, kafkaBrokers, replicaUrls, redisUrls } = givenServers(env, regions)
  if (primaryUrl && kafkaBrokers && regions.every((region) => redisUrls[region])) {
    return { primaryUrl, kafkaBrokers, replicaUrls, redisUrls }
  }
  throw new LocalServerError('NO_SERVERS', 'no servers were started for this test: name its file *.server.test.ts')
}

/** A replica is a copy of its primary's files: it can't be made here of a server that runs elsewhere. */
function refuseHalves(primary: string | undefined, remote: readonly string[], replicas: Record<string, string>): void {
  const given = remote.filter((region) => replicas[region])
  const absent = remote.filter((region) => !replicas[region]).map(replicaVariable)
  if (primary ? absent.length === 0 : given.length === 0) return
  const what = primary
    ? `${PRIMARY} is set, and ${absent.join(', ')} is not`
    : `a replica is given, and ${PRIMARY} is not`
  throw new LocalServerError('GIVEN_SERVERS', `${what}: a primary and its replicas are given together, or not at all`)
}

function named(regions: readonly string[], urlOf: (region: string) => string | undefined): Record<string, string> {
  return Object.fromEntries(
    regions.flatMap((region) => {
      const url = urlOf(region)
      return url ? [[region, url]] : []
    }),
  )
}

function inCapitals(region: string): string {
  return region.toUpperCase().replaceAll('-', '_')
}
