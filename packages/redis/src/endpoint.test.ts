import { expect, test } from '@jest/globals'
import { parseRedisUrl, type RedisEndpoint } from './endpoint.ts'

function endpointOf(url: string): RedisEndpoint | undefined {
  return parseRedisUrl(url, (what) => {
    throw new Error(what)
  })
}

function mistakesOf(url: string): string[] {
  const mistakes: string[] = []
  parseRedisUrl(url, (what) => mistakes.push(what))
  return mistakes
}

const node = (host: string, port: number) => ({ host, port })

test.each<[string, RedisEndpoint]>([
  ['redis://cache', { kind: 'server', tls: false, node: node('cache', 6379), database: 0 }],
  ['rediss://cache:6380/3', { kind: 'server', tls: true, node: node('cache', 6380), database: 3 }],
  ['redis://[::1]:7000', { kind: 'server', tls: false, node: node('::1', 7000), database: 0 }],
  [
    'redis://:a%40b:c/d@cache/',
    { kind: 'server', tls: false, password: 'a@b:c/d', node: node('cache', 6379), database: 0 },
  ],
  [
    'redis-sentinel://worker:pass@a,b:26380/2#mymaster',
    {
      ...{ kind: 'sentinel', tls: false, username: 'worker', password: 'pass' },
      ...{ sentinels: [node('a', 26379), node('b', 26380)], name: 'mymaster', database: 2 },
    },
  ],
  ['rediss-cluster://a:7000,b/0', { kind: 'cluster', tls: true, nodes: [node('a', 7000), node('b', 6379)] }],
])('%s is read', (url, endpoint) => {
  expect(endpointOf(url)).toEqual(endpoint)
})

test.each([
  ['http://cache', /^must be redis:\/\//],
  ['cache:6379', /^must be redis:\/\//],
  ['redis://', /host:port/],
  ['redis://cache:0', /host:port/],
  ['redis://cache:65536', /host:port/],
  ['redis://a,b', /several hosts: that is for redis-sentinel/],
  ['redis://cache/shop', /not a number/],
  ['redis://cache?family=6', /no parameters/],
  ['redis://cache#mymaster', /that is for redis-sentinel/],
  ['redis://user:100%@cache', /%25/],
  ['redis-sentinel://a,b/0', /lacks the name that the Sentinels know the master by/],
  ['redis-cluster://a/1', /a cluster has none but 0/],
  ['redis-cluster://a,,b', /host:port/],
])('%s is a mistake that says what and how', (url, what) => {
  expect(mistakesOf(url)).toEqual([expect.stringMatching(what)])
})

test('all mistakes are told at once, and none of them shows the password', () => {
  const mistakes = mistakesOf('redis-sentinel://u:hidden@a:0/x?y=hidden')
  expect(mistakes).toHaveLength(4)
  expect(mistakes.join()).not.toContain('hidden')
})
