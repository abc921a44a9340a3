/**
 * Liveness and readiness over HTTP.
 *
 * @since 0.1.0
 */
export * as HealthApi from "./HealthApi.ts"

/**
 * The header `Idempotency-Key`, as a schema and for the command that a request sends.
 *
 * @since 0.1.0
 */
export * as IdempotencyKey from "./IdempotencyKey.ts"

/**
 * What a client is told of failures that are not its business: RFC 9457 problem details, with nothing of their causes.
 *
 * @since 0.1.0
 */
export * as Problem from "./Problem.ts"

/**
 * Commands and queries as remote procedures of @effect/rpc.
 *
 * @since 0.1.0
 */
export * as Procedures from "./Procedures.ts"

/**
 * The end of an HTTP server, in an order in which no request that it has taken fails.
 *
 * @since 0.1.0
 */
export * as Shutdown from "./Shutdown.ts"
