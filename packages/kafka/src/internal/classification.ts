import * as Tls from "@effect-cqrs/core/Tls"

/**
 * What errors of kafkajs and of Kafka's protocol mean to whoever publishes.
 *
 * Source of the codes: Apache Kafka's protocol guide, "Error Codes", in the names that kafkajs gives them.
 */
export type Verdict =
  /** Nobody's messages are taken: the cluster, its network, this program's login. */
  | "broker"
  /** This topic's are not. */
  | "destination"
  /** This partition's are not. */
  | "part"
  /** The record batch was judged: the message, if it is the only one in it. */
  | "rejected"
  /** It was not written, and may be sent again at once: to another node, as another producer. */
  | "again"

interface Row {
  readonly type: string
  readonly verdict: Verdict
  /** It will not get better by waiting: someone has to correct the configuration, or the cluster's. */
  readonly isConfiguration: boolean
  readonly advice?: string | undefined
}

const row = (type: string, verdict: Verdict, advice?: string): Row => ({
  type,
  verdict,
  isConfiguration: false,
  advice
})

const stays = (type: string, verdict: Verdict, advice?: string): Row => ({
  type,
  verdict,
  isConfiguration: true,
  advice
})

const version = "the brokers and this client do not speak the same versions of the protocol"

/** Verdicts of nodes, by code. What no producer is ever told is no verdict on its messages: the broker is to blame. */
export const protocolErrors: ReadonlyMap<number, Row> = new Map([
  [-1, row("UNKNOWN", "part", "see the broker's log")],
  [1, row("OFFSET_OUT_OF_RANGE", "broker")],
  [2, row("CORRUPT_MESSAGE", "again")],
  [3, stays("UNKNOWN_TOPIC_OR_PARTITION", "again", "create the topic, or correct its name")],
  [4, row("INVALID_FETCH_SIZE", "broker")],
  [5, row("LEADER_NOT_AVAILABLE", "again")],
  [6, row("NOT_LEADER_FOR_PARTITION", "again")],
  [7, row("REQUEST_TIMED_OUT", "part", "replicas were too slow to acknowledge it")],
  [8, row("BROKER_NOT_AVAILABLE", "broker")],
  [9, row("REPLICA_NOT_AVAILABLE", "again")],
  [10, row("MESSAGE_TOO_LARGE", "rejected", "raise max.message.bytes of the topic, or send less")],
  [11, row("STALE_CONTROLLER_EPOCH", "broker")],
  [12, row("OFFSET_METADATA_TOO_LARGE", "broker")],
  [13, row("NETWORK_EXCEPTION", "broker")],
  [14, row("GROUP_LOAD_IN_PROGRESS", "broker")],
  [15, row("GROUP_COORDINATOR_NOT_AVAILABLE", "broker")],
  [16, row("NOT_COORDINATOR_FOR_GROUP", "broker")],
  [17, stays("INVALID_TOPIC_EXCEPTION", "destination", "a topic cannot be called so")],
  [18, row("RECORD_LIST_TOO_LARGE", "rejected", "raise segment.bytes of the topic, or send less")],
  [19, row("NOT_ENOUGH_REPLICAS", "part", "fewer replicas are in sync than min.insync.replicas asks for")],
  [20, row("NOT_ENOUGH_REPLICAS_AFTER_APPEND", "part", "fewer replicas are in sync than min.insync.replicas asks for")],
  [21, stays("INVALID_REQUIRED_ACKS", "broker", version)],
  [22, row("ILLEGAL_GENERATION", "broker")],
  [23, stays("INCONSISTENT_GROUP_PROTOCOL", "broker", "the group has members of another kind: choose another name")],
  [24, stays("INVALID_GROUP_ID", "broker")],
  [25, row("UNKNOWN_MEMBER_ID", "broker")],
  [
    26,
    stays(
      "INVALID_SESSION_TIMEOUT",
      "broker",
      "the brokers allow other session timeouts: see group.max.session.timeout.ms"
    )
  ],
  [27, row("REBALANCE_IN_PROGRESS", "broker")],
  [28, row("INVALID_COMMIT_OFFSET_SIZE", "broker")],
  [29, stays("TOPIC_AUTHORIZATION_FAILED", "destination", "grant this user Describe on the topic, and Read or Write")],
  [30, stays("GROUP_AUTHORIZATION_FAILED", "broker", "grant this user Read on the group")],
  [31, stays("CLUSTER_AUTHORIZATION_FAILED", "broker", "grant this user IdempotentWrite on the cluster")],
  [32, row("INVALID_TIMESTAMP", "rejected", "see message.timestamp settings of the topic")],
  [33, stays("UNSUPPORTED_SASL_MECHANISM", "broker", "enable the mechanism on the brokers, or use another")],
  [34, stays("ILLEGAL_SASL_STATE", "broker")],
  [35, stays("UNSUPPORTED_VERSION", "broker", version)],
  [36, row("TOPIC_ALREADY_EXISTS", "destination")],
  [37, stays("INVALID_PARTITIONS", "destination")],
  [38, stays("INVALID_REPLICATION_FACTOR", "destination")],
  [39, stays("INVALID_REPLICA_ASSIGNMENT", "destination")],
  [40, stays("INVALID_CONFIG", "destination")],
  [41, row("NOT_CONTROLLER", "broker")],
  [42, stays("INVALID_REQUEST", "broker", version)],
  [43, stays("UNSUPPORTED_FOR_MESSAGE_FORMAT", "destination", "the topic has a message format older than 0.11")],
  [44, stays("POLICY_VIOLATION", "destination", "a policy of the brokers forbids it")],
  [45, row("OUT_OF_ORDER_SEQUENCE_NUMBER", "again")],
  [46, row("DUPLICATE_SEQUENCE_NUMBER", "again")],
  [47, row("INVALID_PRODUCER_EPOCH", "again")],
  [48, row("INVALID_TXN_STATE", "broker")],
  [49, row("INVALID_PRODUCER_ID_MAPPING", "again")],
  [50, row("INVALID_TRANSACTION_TIMEOUT", "broker")],
  [51, row("CONCURRENT_TRANSACTIONS", "broker")],
  [52, row("TRANSACTION_COORDINATOR_FENCED", "broker")],
  [53, stays("TRANSACTIONAL_ID_AUTHORIZATION_FAILED", "broker")],
  [54, stays("SECURITY_DISABLED", "broker")],
  [55, row("OPERATION_NOT_ATTEMPTED", "broker")],
  [56, row("KAFKA_STORAGE_ERROR", "again", "a disk of the broker failed")],
  [57, row("LOG_DIR_NOT_FOUND", "broker")],
  [58, stays("SASL_AUTHENTICATION_FAILED", "broker", "correct user and password")],
  [59, row("UNKNOWN_PRODUCER_ID", "again")],
  [60, row("REASSIGNMENT_IN_PROGRESS", "broker")],
  [61, row("DELEGATION_TOKEN_AUTH_DISABLED", "broker")],
  [62, row("DELEGATION_TOKEN_NOT_FOUND", "broker")],
  [63, row("DELEGATION_TOKEN_OWNER_MISMATCH", "broker")],
  [64, row("DELEGATION_TOKEN_REQUEST_NOT_ALLOWED", "broker")],
  [65, stays("DELEGATION_TOKEN_AUTHORIZATION_FAILED", "broker")],
  [66, row("DELEGATION_TOKEN_EXPIRED", "broker")],
  [67, stays("INVALID_PRINCIPAL_TYPE", "broker")],
  [68, row("NON_EMPTY_GROUP", "broker")],
  [69, row("GROUP_ID_NOT_FOUND", "broker")],
  [70, row("FETCH_SESSION_ID_NOT_FOUND", "broker")],
  [71, row("INVALID_FETCH_SESSION_EPOCH", "broker")],
  [72, row("LISTENER_NOT_FOUND", "again", "the leader has no listener of the kind this client uses")],
  [73, row("TOPIC_DELETION_DISABLED", "broker")],
  [74, row("FENCED_LEADER_EPOCH", "again")],
  [75, row("UNKNOWN_LEADER_EPOCH", "again")],
  [
    76,
    stays("UNSUPPORTED_COMPRESSION_TYPE", "destination", "the brokers do not know this compression: choose another")
  ],
  [77, row("STALE_BROKER_EPOCH", "broker")],
  [78, row("OFFSET_NOT_AVAILABLE", "broker")],
  [79, row("MEMBER_ID_REQUIRED", "broker")],
  [80, row("PREFERRED_LEADER_NOT_AVAILABLE", "again")],
  [81, stays("GROUP_MAX_SIZE_REACHED", "broker")],
  [82, row("FENCED_INSTANCE_ID", "broker")],
  [83, row("ELIGIBLE_LEADERS_NOT_AVAILABLE", "again")],
  [84, row("ELECTION_NOT_NEEDED", "broker")],
  [85, row("NO_REASSIGNMENT_IN_PROGRESS", "broker")],
  [86, row("GROUP_SUBSCRIBED_TO_TOPIC", "broker")],
  [
    87,
    row("INVALID_RECORD", "rejected", "the broker found it malformed: in a compacted topic each message needs a key")
  ],
  [88, row("UNSTABLE_OFFSET_COMMIT", "broker")]
])

/** A verdict, with what it was as a sentence. */
export interface Judged {
  readonly verdict: Verdict
  readonly reason: string
}

/** What a node said of a topic, a partition or a group. */
export interface Answered extends Judged {
  readonly type: string
  readonly isConfiguration: boolean
}

/** A code that is not known here is no verdict on the message. */
export const ofCode = (code: number, where: string): Answered => {
  const { advice, type, ...known } = protocolErrors.get(code) ?? row(`the error ${code}`, "part")
  return { ...known, type, reason: `${where}: Kafka answered ${type}${advice === undefined ? "" : `: ${advice}`}` }
}

/** What no request was answered with, by the names of kafkajs's errors. */
export const clientErrors: ReadonlyMap<string, Verdict> = new Map([
  ["KafkaJSError", "broker"],
  ["KafkaJSNonRetriableError", "broker"],
  ["KafkaJSOffsetOutOfRange", "broker"],
  ["KafkaJSMemberIdRequired", "broker"],
  ["KafkaJSNumberOfRetriesExceeded", "broker"],
  ["KafkaJSConnectionError", "broker"],
  ["KafkaJSConnectionClosedError", "broker"],
  ["KafkaJSRequestTimeoutError", "broker"],
  ["KafkaJSMetadataNotLoaded", "broker"],
  ["KafkaJSTopicMetadataNotLoaded", "broker"],
  ["KafkaJSStaleTopicMetadataAssignment", "broker"],
  ["KafkaJSDeleteGroupsError", "broker"],
  ["KafkaJSServerDoesNotSupportApiKey", "broker"],
  ["KafkaJSBrokerNotFound", "broker"],
  ["KafkaJSPartialMessageError", "broker"],
  ["KafkaJSSASLAuthenticationError", "broker"],
  ["KafkaJSGroupCoordinatorNotFound", "broker"],
  // the codec of the compression that was chosen
  ["KafkaJSNotImplemented", "broker"],
  ["KafkaJSTimeout", "broker"],
  ["KafkaJSLockTimeout", "broker"],
  ["KafkaJSUnsupportedMagicByteInMessageSet", "broker"],
  ["KafkaJSDeleteTopicRecordsError", "broker"],
  ["KafkaJSInvariantViolation", "broker"],
  ["KafkaJSCreateTopicError", "destination"],
  ["KafkaJSAlterPartitionReassignmentsError", "destination"],
  ["KafkaJSAggregateError", "broker"],
  ["KafkaJSNoBrokerAvailableError", "broker"],
  ["KafkaJSInvalidVarIntError", "broker"],
  ["KafkaJSInvalidLongError", "broker"],
  ["KafkaJSFetcherRebalanceError", "broker"]
])

/** What kafkajs calls an answer that is an error of Kafka's own. */
export const protocolError = "KafkaJSProtocolError"

/** None of them could be asked, and why, for each. */
export class NodesError extends Error {
  override readonly name = "NodesError"

  constructor(readonly errors: ReadonlyArray<{ readonly address: string; readonly error: unknown }>) {
    super([...new Set(errors.map(({ address, error }) => `${address}: ${spoken(error)}`))].join("; "))
  }
}

/** What was thrown in place of an answer. */
export const ofError = (error: unknown): Judged => {
  const { code, name } = detailsOf(error)
  if (name === protocolError) return ofCode(Number(code), "The request")
  return { verdict: clientErrors.get(name) ?? "broker", reason: `Kafka cannot be reached: ${spoken(error)}` }
}

/**
 * It will not get better by waiting: someone has to correct the configuration. Of several nodes one is enough to say so: it
 * was reached, and the others will say the same when they can be.
 */
export const isConfiguration = (error: unknown): boolean => {
  if (error instanceof NodesError) return error.errors.some((one) => isConfiguration(one.error))
  const details = detailsOf(error)
  const { code, name } = details
  return name === protocolError
    ? protocolErrors.get(Number(code))?.isConfiguration === true
    : name === loginError || name === "KafkaJSServerDoesNotSupportApiKey" || Tls.problem(details) !== undefined
}

/** Nobody coordinates the group yet, or it is just being loaded, or by another node by now. */
export const isCoordinatorUnsettled = (code: number): boolean => code === 14 || code === 15 || code === 16

export const detailsOf = (
  error: unknown
): { readonly name: string; readonly type: string; readonly message: string; readonly code: unknown } => {
  const { cause, code, message, name, type } = (error ?? {}) as Record<string, unknown>
  if (cause instanceof Error && wrappers.has(String(name))) return detailsOf(cause)
  const said = typeof message === "string" && message !== "" ? message : String(code ?? name ?? error)
  return { name: String(name), type: String(type), message: said, code }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** What kafkajs puts round an error when it tries no more. */
const wrappers: ReadonlySet<string> = new Set(["KafkaJSNumberOfRetriesExceeded", "KafkaJSNonRetriableError"])

const loginError = "KafkaJSSASLAuthenticationError"

const spoken = (error: unknown): string => {
  const details = detailsOf(error)
  const { code, message, name } = details
  if (name === protocolError) return ofCode(Number(code), "The request").reason
  return name === loginError
    ? `it refuses the login: correct the user and the password, or the mechanism (${message})`
    : Tls.problem(details) ?? message
}
