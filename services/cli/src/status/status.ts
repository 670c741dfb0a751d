import { loadSource } from '@tidemark/service'
import type { Command } from '../command.ts'
import { EXIT_CODE } from '../exit-code.ts'
import { readParts } from '../facts/parts.ts'
import { withBigints } from '../json.ts'
import { readServers } from '../settings.ts'
import { statusText } from './status-text.ts'

export const status: Command = {
  name: 'status',
  summary: 'how everything is just now: source, epoch, slot, topic, regions, replicas',
  help: `usage: tidemark status [--json]

One line a part, also while some of them are down. It judges nothing: tidemark doctor does.

  --json  all that was read, for machines

Exit code: 0 every part answered, 1 some did not, 2 mistaken settings.`,
  options: { json: { type: 'boolean' } },
  run: async (flags, { env, print }) => {
    const servers = readServers(env)
    const source = await loadSource(servers.config)
    const parts = await readParts(source, servers)
    print(flags.json ? JSON.stringify(parts, withBigints, 2) : statusText(source, parts, Date.now()))
    const all = [parts.source, parts.topic, ...parts.regions, ...parts.replicas]
    return all.every((part) => 'facts' in part) ? EXIT_CODE.fine : EXIT_CODE.wrong
  },
}
