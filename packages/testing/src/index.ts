/**
 * The promises of brokers, as a suite that every adapter runs.
 *
 * @since 0.1.0
 */
export * as BrokerSuite from "./BrokerSuite.ts"

/**
 * Tests that need a real server: they run where its endpoint is known, show as skipped where it is not, and fail in CI.
 *
 * @since 0.1.0
 */
export * as Endpoint from "./Endpoint.ts"

/**
 * What tests of storages and brokers need again and again: messages, texts that are easily harmed, and waiting for something
 * to be so.
 *
 * @since 0.1.0
 */
export * as Fixtures from "./Fixtures.ts"

/**
 * The promises of idempotency keys, as a suite that every storage of them runs.
 *
 * @since 0.1.0
 */
export * as IdempotencySuite from "./IdempotencySuite.ts"

/**
 * The promises of the inbox, as a suite that every inbox storage runs.
 *
 * @since 0.1.0
 */
export * as InboxSuite from "./InboxSuite.ts"

/**
 * The promises of the outbox storage, as a suite that every storage runs.
 *
 * @since 0.1.0
 */
export * as OutboxStorageSuite from "./OutboxStorageSuite.ts"

/**
 * A way to a server that can be cut and stalled: for tests of what clients do when the network fails.
 *
 * @since 0.1.0
 */
export * as Proxy from "./Proxy.ts"

/**
 * What the conformance suites have in common: the test runner they are handed, and features that an adapter lacks.
 *
 * @since 0.1.0
 */
export * as Suite from "./Suite.ts"

/**
 * The promises of transactions, as a suite that every transactor runs: domain writes and events, together or not at all.
 *
 * @since 0.1.0
 */
export * as TransactionSuite from "./TransactionSuite.ts"
