/** What can go wrong with a local server; the comment of a code is what to do about it. */
export type LocalServerCode =
  /** Install a Java runtime of version 17 or later, or point JAVA_HOME at one: Kafka runs on it. */
  | 'JAVA_MISSING'
  /** Install Apache Maven, or put `mvn` on the PATH: Kafka's jars are fetched with it, the first time only. */
  | 'MAVEN_MISSING'
  /** Read the output of Maven in the message: most often the network or `~/.m2/settings.xml`. */
  | 'MAVEN_FAILED'
  /** Install redis-server or valkey-server of version 6.2 or later. */
  | 'REDIS_MISSING'
  /** This operating system or processor has no packaged Postgres: use docker-compose.yml, or give the servers' URLs. */
  | 'POSTGRES_MISSING'
  /** The account that runs Postgres can't enter the folder: give another one. */
  | 'FOLDER_CLOSED'
  /** The process ended by itself; the tail of its log is in the message. */
  | 'CHILD_DIED'
  /** The process could not be started at all: is the command there, and executable? */
  | 'CHILD_NOT_STARTED'
  /** The condition did not come true in time; `cause` is the last refusal, if there was one. */
  | 'DEADLINE'
  /** The start was interrupted. Nothing to do. */
  | 'INTERRUPTED'
  /** No free port was found among those tried: another program holds very many. */
  | 'NO_PORT'
  /** The environment names servers that don't fit together; the message says which variable is missing. */
  | 'GIVEN_SERVERS'
  /** A test asked for the shared servers, and none were started for it. */
  | 'NO_SERVERS'
  /** The operation needs a server that runs, or one that does not, or a replica. */
  | 'WRONG_STATE'

/** An error that a person can act on: a code, one clear sentence, and the cause. */
export class LocalServerError extends Error {
  readonly code: LocalServerCode

  constructor(code: LocalServerCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'LocalServerError'
    this.code = code
  }
}
