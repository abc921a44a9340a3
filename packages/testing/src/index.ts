/**
 * Requests and events for property tests, beyond what their schemas give by themselves.
 *
 * `it.prop` and `it.effect.prop` take the classes as they are: `it.effect.prop("…", [JoinRoom], ([command]) => …)`. Ids made up from
 * a schema are hardly ever the same twice; where a property is about things that meet, choose some fields from few.
 *
 * @since 0.1.0
 */
export * as Arbitraries from "./Arbitraries.ts"

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
 * A broker that fails when a test says so: out, out for a topic, refusing an event, or losing its acknowledgements.
 *
 * @since 0.1.0
 */
export * as Faults from "./Faults.ts"

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
 * Handlers for tests of whoever sends requests: each answers as its test says, in place of the real handler and of all that
 * wraps it.
 *
 * A mock needs no layer of its request's middleware, and runs none of it. What it was sent is in the {@link Recorder}, if
 * there is one. A request that is sent in a test and is neither mocked nor handled is a compile error as ever.
 *
 * @since 0.1.0
 */
export * as Mock from "./Mock.ts"

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
 * Runs a program until nothing is on its way any more: no event in the outbox, none at a consumer. The test clock is driven
 * from one thing that waits for it to the next, so that pauses, retries and outages take no time.
 *
 * @since 0.1.0
 */
export * as Quiescence from "./Quiescence.ts"

/**
 * Records what a program did: events added to the outbox and what became of them, events emitted, messages published and
 * consumed, requests sent to mocks; each in its order.
 *
 * The layers stand round those of the program, memory or real: what they are given does the work.
 *
 * @since 0.1.0
 */
export * as Recorder from "./Recorder.ts"

/**
 * Given, when, then: what a handler does, told from outside. It is sent a request, or gets an event, after others; then its
 * answer or failure and all the events that came of it are as said, in order, and nothing else came of it.
 *
 * @since 0.1.0
 */
export * as Scenario from "./Scenario.ts"

/**
 * What the conformance suites have in common: the test runner they are handed, and features that an adapter lacks.
 *
 * @since 0.1.0
 */
export * as Suite from "./Suite.ts"

/**
 * What stands round the handlers under test: storage, transactions and broker, in memory unless given, with faults on demand
 * and all of it recorded.
 *
 * @since 0.1.0
 */
export * as Testbed from "./Testbed.ts"

/**
 * The promises of transactions, as a suite that every transactor runs: domain writes and events, together or not at all.
 *
 * @since 0.1.0
 */
export * as TransactionSuite from "./TransactionSuite.ts"
