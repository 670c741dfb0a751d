import { type KafkaServer, PostgresServer, TcpProxy } from '@tidemark/local'
import { NetworkedKafka } from './networked-kafka.ts'

/** The servers that an outage takes away, and the networks in front of them: of the test's own, for it breaks them. */
export class OutageStage implements AsyncDisposable {
  readonly postgres: PostgresServer
  readonly kafka: KafkaServer
  readonly postgresNetwork: TcpProxy
  readonly kafkaNetwork: TcpProxy
  readonly #resources: AsyncDisposableStack

  private constructor(
    postgres: PostgresServer,
    kafka: KafkaServer,
    postgresNetwork: TcpProxy,
    kafkaNetwork: TcpProxy,
    resources: AsyncDisposableStack,
  ) {
    this.postgres = postgres
    this.kafka = kafka
    this.postgresNetwork = postgresNetwork
    this.kafkaNetwork = kafkaNetwork
    this.#resources = resources
  }

  static async open(): Promise<OutageStage> {
    await using resources = new AsyncDisposableStack()
    const { server: kafka, network: kafkaNetwork } = resources.use(await NetworkedKafka.start())
    const postgres = resources.use(await PostgresServer.start({ durable: false }))
    const postgresNetwork = resources.use(await TcpProxy.start(postgres.port))
    return new OutageStage(postgres, kafka, postgresNetwork, kafkaNetwork, resources.move())
  }

  /** Everything is as at the start again, whatever an outage has left. */
  async restore(): Promise<void> {
    for (const network of [this.postgresNetwork, this.kafkaNetwork]) {
      network.cut()
      await network.restore()
    }
    this.kafka.resume()
    for (const server of [this.postgres, this.kafka]) if (!server.isRunning) await server.start()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#resources.disposeAsync()
  }
}
