export interface RedisNode {
  readonly host: string
  readonly port: number
}

interface Access {
  readonly tls: boolean
  /** The account `default` unless given. */
  readonly username?: string
  readonly password?: string
}

/** Where the Redis of a region is, as its URL says. */
export type RedisEndpoint = Access &
  (
    | { readonly kind: 'server'; readonly node: RedisNode; readonly database: number }
    | {
        readonly kind: 'sentinel'
        readonly sentinels: readonly RedisNode[]
        /** What the Sentinels call the master. */
        readonly name: string
        readonly database: number
      }
    | { readonly kind: 'cluster'; readonly nodes: readonly RedisNode[] }
  )

export const REDIS_URL_FORMS =
  'redis://host:6379/0, redis-sentinel://host:26379,host:26379/0#name-of-the-master or ' +
  'redis-cluster://host:6379,host:6379; with TLS rediss://, rediss-sentinel://, rediss-cluster://'

interface Parts {
  readonly kind: RedisEndpoint['kind']
  readonly tls: boolean
  readonly userinfo: string | undefined
  readonly hosts: string
  readonly path: string
  readonly query: string | undefined
  readonly fragment: string | undefined
}

type Mistake = (what: string) => void

/** Told of every mistake in the URL; what is returned is of use only if there was none. None of them shows a password. */
export function parseRedisUrl(url: string, mistake: Mistake): RedisEndpoint | undefined {
  const parts = partsOf(url)
  if (parts === undefined) {
    mistake(`must be ${REDIS_URL_FORMS}`)
    return undefined
  }
  if (parts.query !== undefined) mistake('takes no parameters after a ?')
  const access = { tls: parts.tls, ...loginOf(parts, mistake) }
  const nodes = nodesOf(parts, mistake)
  const database = databaseOf(parts, mistake)
  const name = nameOf(parts, mistake)
  switch (parts.kind) {
    case 'server':
      if (nodes.length > 1) mistake('names several hosts: that is for redis-sentinel:// and redis-cluster://')
      return { kind: 'server', ...access, node: nodes[0]!, database }
    case 'sentinel':
      return { kind: 'sentinel', ...access, sentinels: nodes, name, database }
    case 'cluster':
      return { kind: 'cluster', ...access, nodes }
  }
}

/** Not a `URL`: that one knows no list of hosts. A password may hold any character, so all up to the last `@` is it. */
const FORM = /^redis(s?)(?:-(sentinel|cluster))?:\/\/(?:(.*)@)?([^/?#]*)(?:\/([^?#]*))?(?:\?([^#]*))?(?:#(.*))?$/s

function partsOf(url: string): Parts | undefined {
  const [matched, tls, kind = 'server', userinfo, hosts = '', path = '', query, fragment] = FORM.exec(url) ?? []
  if (matched === undefined) return undefined
  return { kind: kind as Parts['kind'], tls: tls === 's', userinfo, hosts, path, query, fragment }
}

function loginOf({ userinfo }: Parts, mistake: Mistake): Pick<Access, 'username' | 'password'> {
  if (userinfo === undefined) return {}
  const [username = '', ...rest] = userinfo.split(':')
  try {
    const password = decodeURIComponent(rest.join(':'))
    return {
      ...(username !== '' && { username: decodeURIComponent(username) }),
      ...(password !== '' && { password }),
    }
  } catch {
    mistake('holds a user or a password with a % that is not %25')
    return {}
  }
}

const NODE = /^(?:\[([0-9A-Fa-f:.]+)\]|([^\s:[\]@]+))(?::(\d{1,5}))?$/

function nodesOf({ kind, hosts }: Parts, mistake: Mistake): RedisNode[] {
  return hosts.split(',').map((text) => {
    const [matched, address, host = address, port = kind === 'sentinel' ? '26379' : '6379'] = NODE.exec(text) ?? []
    const isNode = matched !== undefined && Number(port) > 0 && Number(port) < 65_536
    if (!isNode) mistake('names a host that is not host:port')
    return { host: host ?? '', port: Number(port) }
  })
}

function databaseOf({ kind, path }: Parts, mistake: Mistake): number {
  if (!/^\d{0,5}$/.test(path)) mistake('names a database that is not a number')
  else if (kind === 'cluster' && Number(path) !== 0) mistake('names a database: a cluster has none but 0')
  return Number(path)
}

function nameOf({ kind, fragment }: Parts, mistake: Mistake): string {
  const name = fragment ?? ''
  if (kind === 'sentinel' && name === '') mistake('lacks the name that the Sentinels know the master by: …/0#mymaster')
  if (kind !== 'sentinel' && name !== '') mistake('names a master after a #: that is for redis-sentinel://')
  return name
}
