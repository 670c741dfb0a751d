import { connect } from 'node:net'
import type { ISocketFactory } from 'kafkajs'

/** First byte of an alert of TLS. As the first of a Kafka answer's length it would announce more than 300 MB. */
const TLS_ALERT = 0x15
const KEEP_ALIVE_MS = 60_000

export const SPEAKS_TLS = 'TIDEMARK_SPEAKS_TLS'

/**
 * kafkajs' own socket for plain text, but for one thing: a listener that speaks TLS is recognised by its alert. kafkajs
 * would wait for the 300 MB, and call what follows a closed connection, which it cannot tell from a broker that stops.
 */
export const plainSocket: ISocketFactory = ({ host, port, onConnect }) => {
  const socket = connect({ host, port }, onConnect)
  socket.setKeepAlive(true, KEEP_ALIVE_MS)
  socket.once('data', (first: Buffer) => {
    if (first[0] !== TLS_ALERT) return
    socket.destroy(Object.assign(new Error(`${host}:${port} answers in TLS`), { code: SPEAKS_TLS }))
  })
  return socket
}
