import * as Tls from "@effect-cqrs/core/Tls"

/**
 * What errors of amqplib and of RabbitMQ mean to whoever publishes, and to whoever builds the layer.
 *
 * Source of the codes: AMQP 0-9-1, "Constants", and RabbitMQ's errata; of the rest, amqplib's and Node's own errors; those of
 * TLS are in `Tls`.
 */
type Verdict =
  /** Nobody's messages are taken: the server, its network, this program's login. */
  | "broker"
  /** This exchange's are not. */
  | "destination"
  /** The message was judged, if it was the only one that was not answered yet. */
  | "rejected"

interface Row {
  readonly name: string
  readonly verdict: Verdict
  /** It will not get better by waiting: someone has to correct the configuration, or the server's. */
  readonly isConfiguration: boolean
  readonly advice?: string | undefined
}

const waits = (name: string, verdict: Verdict, advice?: string): Row => ({
  name,
  verdict,
  isConfiguration: false,
  advice
})

const stays = (name: string, verdict: Verdict, advice?: string): Row => ({
  name,
  verdict,
  isConfiguration: true,
  advice
})

const version = "the server and this client do not speak the same protocol"

/** What closes a channel. */
export const channelCodes: ReadonlyMap<number, Row> = new Map([
  [311, waits("CONTENT_TOO_LARGE", "rejected", "send less, or raise the server's max_message_size")],
  [312, stays("NO_ROUTE", "destination", "bind a queue to the exchange")],
  [313, waits("NO_CONSUMERS", "destination")],
  [403, stays("ACCESS_REFUSED", "destination", "grant this user what it needs: configure, write, read")],
  [404, stays("NOT_FOUND", "destination", "declare it in the topology, or correct its name")],
  [405, waits("RESOURCE_LOCKED", "destination", "another connection has it to itself")],
  [406, stays("PRECONDITION_FAILED", "rejected")]
])

/** What closes a connection. */
export const connectionCodes: ReadonlyMap<number, Row> = new Map([
  [320, waits("CONNECTION_FORCED", "broker", "an operator or a shutdown of the server has closed it")],
  [402, stays("INVALID_PATH", "broker", "there is no such virtual host")],
  [403, stays("ACCESS_REFUSED", "broker", "correct the user and the password")],
  [501, waits("FRAME_ERROR", "broker", version)],
  [502, waits("SYNTAX_ERROR", "broker", version)],
  [503, waits("COMMAND_INVALID", "broker", version)],
  [504, waits("CHANNEL_ERROR", "broker", version)],
  [505, waits("UNEXPECTED_FRAME", "broker", version)],
  [506, waits("RESOURCE_ERROR", "broker", "the server is short of something")],
  [530, stays("NOT_ALLOWED", "broker", "create the virtual host, or grant this user access to it")],
  [540, waits("NOT_IMPLEMENTED", "broker", version)],
  [541, waits("INTERNAL_ERROR", "broker", "see the server's log")]
])

/** Errors without a code of AMQP, by what their text begins with; the first that fits. */
export const clientErrors: ReadonlyArray<readonly [string, Row]> = [
  ["message nacked", waits("nacked", "destination", "a queue is full, or cannot store it")],
  ["Heartbeat timeout", waits("heartbeat", "broker")],
  ["Unexpected close", waits("closed", "broker")],
  ["Socket closed abruptly", waits("closed", "broker")],
  ["Channel ended", waits("closed", "broker")],
  ["channel closed", waits("closed", "broker")],
  ["Channel closed", waits("closed", "broker")],
  ["Channel closing", waits("closed", "broker")],
  ["Connection clos", waits("closed", "broker")],
  ["No channels left", waits("channels", "broker", "raise channel_max, or publish to fewer exchanges")],
  ["Expected ConnectionOpenOk", stays("vhost", "broker", "create the virtual host, or grant this user access to it")],
  ["SASL mechanism", stays("mechanism", "broker", "enable a login by user and password on the server")],
  ["Expected amqp:", stays("url", "broker", "give a URL such as amqp://user:password@host:5672/vhost")],
  ["connect ETIMEDOUT", waits("timeout", "broker")],
  ["Frame size", waits("frame", "broker", version)],
  ["Invalid frame", waits("frame", "broker", version)]
]

/** Errors of sockets, by their code. */
export const socketErrors: ReadonlyMap<string, Row> = new Map([
  ["ECONNREFUSED", waits("refused", "broker")],
  ["ECONNRESET", waits("reset", "broker")],
  ["EPIPE", waits("reset", "broker")],
  ["ETIMEDOUT", waits("timeout", "broker")],
  ["EHOSTUNREACH", waits("network", "broker")],
  ["ENETUNREACH", waits("network", "broker")],
  ["ENOTFOUND", waits("name", "broker")],
  ["EAI_AGAIN", waits("name", "broker")]
])

/** A verdict, with what it was as a sentence. */
export interface Judged {
  readonly verdict: Verdict
  readonly isConfiguration: boolean
  readonly reason: string
}

/** What closed a channel, or was answered to a request on it. Without a code of AMQP, its connection is gone. */
export const ofChannel = (error: unknown, where: string): Judged => {
  const { code, message } = detailsOf(error)
  const known = typeof code === "number" ? channelCodes.get(code) : undefined
  return known === undefined ? ofConnection(error) : judge(known, `${where}: ${serverText(message)}`)
}

/** Why there is no connection. */
export const ofConnection = (error: unknown, address?: string): Judged => {
  const { code, message } = detailsOf(error)
  const where = address === undefined ? "RabbitMQ cannot be reached" : `RabbitMQ at ${address} cannot be reached`
  const spelled = /^Handshake terminated by server: (\d+)/.exec(message)?.[1]
  const byCode = connectionCodes.get(Number(code ?? spelled))
  if (byCode !== undefined) return judge(byCode, `${where}: ${serverText(message)}`)
  const tls = Tls.problem(error)
  if (tls !== undefined) return { verdict: "broker", isConfiguration: true, reason: `${where}: ${tls}` }
  const bySocket = typeof code === "string" ? socketErrors.get(code) : undefined
  if (bySocket !== undefined) return judge(bySocket, `${where}: ${message}`)
  const byText = clientErrors.find(([start]) => message.startsWith(start))?.[1]
  return byText === undefined
    ? { verdict: "broker", isConfiguration: false, reason: `${where}: ${message}` }
    : judge(byText, `${where}: ${message}`)
}

/** amqplib throws these while it encodes a message: it was not sent, and cannot be. */
export const isEncoding = (error: unknown): error is Error => error instanceof RangeError || error instanceof TypeError

export const detailsOf = (error: unknown): { readonly code: unknown; readonly message: string } => {
  const { code, message } = (error ?? {}) as Record<string, unknown>
  return { code, message: typeof message === "string" ? message : "the connection was closed" }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

const judge = ({ advice, isConfiguration, verdict }: Row, what: string): Judged => ({
  verdict,
  isConfiguration,
  reason: advice === undefined ? what : `${what}: ${advice}`
})

/** What the server wrote, out of amqplib's sentence about it. */
const serverText = (message: string): string =>
  (/with message "([\s\S]*)"$/.exec(message)?.[1] ?? message).replace(/\.$/, "")
