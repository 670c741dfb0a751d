import { freePort, KafkaServer, TcpProxy } from '@tidemark/local'

/** A broker, and a network in front of it for clients that are to be cut off; others go to the broker itself. */
export class NetworkedKafka implements AsyncDisposable {
  readonly server: KafkaServer
  readonly network: TcpProxy

  private constructor(server: KafkaServer, network: TcpProxy) {
    this.server = server
    this.network = network
  }

  /** A broker tells its clients where it is: one listener says that it is at the end of the network. */
  static async start(): Promise<NetworkedKafka> {
    await using undo = new AsyncDisposableStack()
    const [port, networkedPort, controllerPort] = [await freePort(), await freePort(), await freePort()]
    const network = undo.use(await TcpProxy.start(networkedPort))
    const server = await KafkaServer.start({
      port,
      settings: {
        listeners: `PLAINTEXT://127.0.0.1:${port},NETWORKED://127.0.0.1:${networkedPort},CONTROLLER://127.0.0.1:${controllerPort}`,
        'advertised.listeners': `PLAINTEXT://127.0.0.1:${port},NETWORKED://127.0.0.1:${network.port}`,
        'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,NETWORKED:PLAINTEXT,CONTROLLER:PLAINTEXT',
        'controller.quorum.voters': `1@127.0.0.1:${controllerPort}`,
        // When a record became readable, not when somebody thought of sending it.
        'log.message.timestamp.type': 'LogAppendTime',
      },
    })
    undo.move()
    return new NetworkedKafka(server, network)
  }

  /** `host:port` of the network's end. */
  get networkedBrokers(): string {
    return `127.0.0.1:${this.network.port}`
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.server[Symbol.asyncDispose]()
    await this.network[Symbol.asyncDispose]()
  }
}
