import { LocalServerError } from './errors.ts'
import { type KafkaOptions, KafkaServer } from './kafka.ts'
import { withAdmin } from './kafka-client.ts'
import { type KafkaSettings, kafkaUuid } from './kafka-files.ts'
import { freePort } from './ports.ts'
import { waitUntil } from './wait.ts'

const NODES = 3
const HEAP_MB = 256
/** For topics that don't say otherwise. */
const TOPIC_SETTINGS: KafkaSettings = { 'default.replication.factor': NODES, 'min.insync.replicas': NODES - 1 }
const ELECTION_TIMEOUT_MS = 30_000

export type KafkaClusterOptions = Pick<KafkaOptions, 'settings' | 'heapMb' | 'onDeath' | 'onProgress' | 'signal'>

/** Three brokers, each a controller too. Topics have three replicas unless they say otherwise; two acknowledge a record. */
export class KafkaCluster implements AsyncDisposable {
  /** In the order of their ids, which begin with 1. One that has no other beside it is not ready, and does not start. */
  readonly nodes: readonly KafkaServer[]
  readonly #resources: AsyncDisposableStack

  private constructor(nodes: readonly KafkaServer[], resources: AsyncDisposableStack) {
    this.nodes = nodes
    this.#resources = resources
  }

  static async start(options: KafkaClusterOptions = {}): Promise<KafkaCluster> {
    const clusterId = kafkaUuid()
    const controllerPorts: number[] = []
    for (let n = 0; n < NODES; n += 1) controllerPorts.push(await freePort())
    const common = { heapMb: HEAP_MB, ...options, settings: { ...TOPIC_SETTINGS, ...options.settings } }
    // None is ready before there are two.
    const starts = controllerPorts.map((_, index) =>
      KafkaServer.start({ ...common, member: { clusterId, nodeId: index + 1, controllerPorts } }),
    )
    await using resources = new AsyncDisposableStack()
    for (const start of await Promise.allSettled(starts)) {
      if (start.status === 'fulfilled') resources.use(start.value)
    }
    return new KafkaCluster(await Promise.all(starts), resources.move())
  }

  /** All of them, as clients want it. */
  get brokers(): string {
    return this.nodes.map(({ brokers }) => brokers).join(',')
  }

  async leaderOf(topic: string, partition = 0): Promise<KafkaServer> {
    return this.#untilLed(topic, partition, () => true)
  }

  /** Waits until another one leads the partition. */
  async failedOverFrom(former: KafkaServer, topic: string, partition = 0): Promise<KafkaServer> {
    return this.#untilLed(topic, partition, (leader) => leader !== former)
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }

  async #untilLed(topic: string, partition: number, by: (leader: KafkaServer) => boolean): Promise<KafkaServer> {
    let leader: KafkaServer | undefined
    const isLed = async () => {
      leader = await this.#leader(topic, partition)
      return leader !== undefined && by(leader)
    }
    await waitUntil(`${topic}/${partition} has a leader`, isLed, { timeoutMs: ELECTION_TIMEOUT_MS, everyMs: 100 })
    return leader!
  }

  async #leader(topic: string, partition: number): Promise<KafkaServer | undefined> {
    const running = this.nodes.filter(({ isRunning }) => isRunning)
    if (running.length === 0) throw new LocalServerError('WRONG_STATE', 'no node of the cluster runs')
    const brokers = running.map((node) => node.brokers).join(',')
    const { topics } = await withAdmin(brokers, (admin) => admin.fetchTopicMetadata({ topics: [topic] }))
    const led = topics[0]?.partitions.find(({ partitionId }) => partitionId === partition)
    return led && this.nodes[led.leader - 1]
  }
}
