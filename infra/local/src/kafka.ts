import { stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ChildSpec } from './child.ts'
import { LocalServerError } from './errors.ts'
import { findJava } from './java.ts'
import { brokersAnswer } from './kafka-client.ts'
import {
  brokerSettings,
  formatData,
  KAFKA_FOLDER,
  type KafkaMember,
  type KafkaSettings,
  type KafkaUsers,
  kafkaJars,
  kafkaUuid,
  propertiesText,
} from './kafka-files.ts'
import { type KafkaListeners, listenerSettings, portsOf } from './kafka-listeners.ts'
import { freePort, isOpen } from './ports.ts'
import { openServerFolder, type ServerFolder } from './run-folder.ts'
import type { ServerOptions } from './server-options.ts'
import { ServerProcess } from './server-process.ts'

const START_TIMEOUT_MS = 90_000
const STOP_TIMEOUT_MS = 20_000
const DEFAULT_HEAP_MB = 384

export interface KafkaOptions extends ServerOptions {
  readonly settings?: KafkaSettings
  readonly heapMb?: number
  /** With TLS, beside the one in plain text. */
  readonly listeners?: KafkaListeners
  /** Whom the listeners with SASL know, by PLAIN and SCRAM. */
  readonly users?: KafkaUsers
  /** Its place in a cluster. Without it, it is a cluster by itself. */
  readonly member?: KafkaMember
}

interface Place {
  readonly folder: ServerFolder
  readonly port: number
  readonly member: KafkaMember
  readonly heapMb: number
  readonly settings: KafkaSettings
  readonly listeners: KafkaListeners
  readonly listenerPorts: ReadonlyMap<string, number>
  readonly users: KafkaUsers
  readonly java: string
  readonly jars: string
  readonly onDeath: ServerOptions['onDeath']
}

/** A Kafka broker of this machine. */
export class KafkaServer extends ServerProcess {
  readonly port: number
  readonly #place: Place

  private constructor(place: Place) {
    super('kafka', place.folder)
    this.#place = place
    this.port = place.port
  }

  /** Starts a broker; in a folder that already holds one, that one. */
  static async start(options: KafkaOptions = {}): Promise<KafkaServer> {
    const java = await findJava()
    const jars = await kafkaJars(options)
    await using undo = new AsyncDisposableStack()
    const { listeners = {}, users = {} } = options
    const server = new KafkaServer({
      folder: undo.use(await openServerFolder(options.dir)),
      port: options.port ?? (await freePort()),
      member: options.member ?? { clusterId: kafkaUuid(), nodeId: 1, controllerPorts: [await freePort()] },
      heapMb: options.heapMb ?? DEFAULT_HEAP_MB,
      settings: options.settings ?? {},
      listeners,
      listenerPorts: await portsOf(listeners),
      users,
      java,
      jars,
      onDeath: options.onDeath,
    })
    options.onProgress?.(`kafka: starting on port ${server.port}`)
    await server.start(options.signal)
    undo.move()
    return server
  }

  /** `host:port`, as clients want it. */
  get brokers(): string {
    return `127.0.0.1:${this.port}`
  }

  /** The same of one of the listeners with TLS. */
  brokersOf(listener: string): string {
    const port = this.#place.listenerPorts.get(listener)
    if (port === undefined) throw new LocalServerError('WRONG_STATE', `kafka has no listener ${listener}`)
    return `127.0.0.1:${port}`
  }

  protected override async prepare(): Promise<ChildSpec> {
    const { java, jars } = this.#place
    const properties = await this.#writeProperties()
    return {
      name: this.name,
      command: java,
      args: [...this.#javaOptions(), '-cp', join(jars, '*'), 'kafka.Kafka', properties],
      logFile: join(this.dir, 'kafka.log'),
      // A client that is refused costs more than a connection that is.
      ready: async () => (await isOpen(this.port)) && brokersAnswer(this.brokers),
      readyTimeoutMs: START_TIMEOUT_MS,
      stopTimeoutMs: STOP_TIMEOUT_MS,
      onDeath: this.#place.onDeath,
    }
  }

  #javaOptions(): string[] {
    const log4j = `-Dlog4j2.configurationFile=${join(KAFKA_FOLDER, 'log4j2.xml')}`
    // For a short life on few cores: the collector and the compiler that start fastest.
    return [`-Xmx${this.#place.heapMb}m`, '-XX:+UseSerialGC', '-XX:TieredStopAtLevel=1', log4j]
  }

  async #writeProperties(): Promise<string> {
    const { settings, member, users, java, jars } = this.#place
    const data = join(this.dir, 'data')
    const isFormatted = await stat(join(data, 'meta.properties')).catch(() => undefined)
    if (!isFormatted) await formatData({ data, member, users, java, jars })
    const properties = join(this.dir, 'server.properties')
    await writeFile(properties, propertiesText({ ...(await this.#brokerSettings(data)), ...settings }))
    return properties
  }

  async #brokerSettings(data: string): Promise<KafkaSettings> {
    const { port, member, listeners, listenerPorts: ports, users } = this.#place
    const broker = brokerSettings({ data, port, member })
    if (ports.size === 0) return broker
    const before = String(broker.listeners)
    return { ...broker, ...(await listenerSettings(listeners, users, { folder: this.dir, ports, before })) }
  }
}
