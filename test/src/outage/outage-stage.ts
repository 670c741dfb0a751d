import { freePort, KafkaServer, PostgresServer, TcpProxy } from '@tidemark/local'

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
    const networkedPort = await freePort()
    const kafkaNetwork = resources.use(await TcpProxy.start(networkedPort))
    const kafka = resources.use(await startKafka(networkedPort, kafkaNetwork.port))
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

/** A broker tells its clients where it is: one listener says that it is at the end of the network. */
async function startKafka(networkedPort: number, networkPort: number): Promise<KafkaServer> {
  const [port, controllerPort] = [await freePort(), await freePort()]
  return KafkaServer.start({
    port,
    settings: {
      listeners: `PLAINTEXT://127.0.0.1:${port},NETWORKED://127.0.0.1:${networkedPort},CONTROLLER://127.0.0.1:${controllerPort}`,
      'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},NETWORKED://127.0.0.1:${networkPort}`,
      'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,NETWORKED:PLAINTEXT,CONTROLLER:PLAINTEXT',
      'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
      // When a record became readable, not when somebody thought of sending it.
      'log.message.timestamp.type': 'LogAppendTime',
    },
  })
}
