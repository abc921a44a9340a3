/**
 * A sensible whole in one call.
 *
 * @since 0.1.0
 */
export * as Bootstrap from "./Bootstrap.ts"

/**
 * The port to message brokers: publish a batch and learn the fate of each message; consume with the scope as the
 * acknowledgement.
 *
 * @since 0.1.0
 */
export * as Broker from "./Broker.ts"

/**
 * The port that says which buckets of the outbox a relay may work on.
 *
 * @since 0.1.0
 */
export * as BucketOwner from "./BucketOwner.ts"

/**
 * How the payload of an event becomes bytes, recorded per message as its content type.
 *
 * @since 0.1.0
 */
export * as Codec from "./Codec.ts"

/**
 * Commands: requests that change something, have one handler, and answer with a success or a declared failure.
 *
 * @since 0.1.0
 */
export * as Command from "./Command.ts"

/**
 * Compression of payloads, recorded per message so that it can change at any time.
 *
 * @since 0.1.0
 */
export * as Compressor from "./Compressor.ts"

/**
 * Consumers: messages from a broker to the handlers of their events, acknowledged after success.
 *
 * @since 0.1.0
 */
export * as Consumer from "./Consumer.ts"

/**
 * Dead letters of a group of consumers: what they could not handle, for somebody to look at, to send again or to give up.
 *
 * @since 0.1.0
 */
export * as ConsumerDeadLetters from "./ConsumerDeadLetters.ts"

/**
 * Correlation and causation ids: which conversation something belongs to, and what directly caused it.
 *
 * They flow by themselves. A request that starts a conversation gives it its own id; what the request sends, emits or
 * adds to the outbox carries the conversation's id as its correlation id and the request's id as its causation id; so
 * do the handlers of a received message, with the message's id as the cause.
 *
 * @since 0.1.0
 */
export * as Correlation from "./Correlation.ts"

/**
 * Dead letters of the outbox: what the broker would not take, for somebody to look at, to send again or to give up.
 *
 * @since 0.1.0
 */
export * as DeadLetters from "./DeadLetters.ts"

/**
 * What becomes of an outbox entry after the broker's answer: one pure function.
 *
 * @since 0.1.0
 */
export * as Delivery from "./Delivery.ts"

/**
 * Events: domain events that stay in the process, and notification and ECST events that leave it.
 *
 * @since 0.1.0
 */
export * as Event from "./Event.ts"

/**
 * Emits events from handlers: domain events to their handlers in this process, the others straight to the broker.
 *
 * @since 0.1.0
 */
export * as EventEmitter from "./EventEmitter.ts"

/**
 * Brings a received message to the handlers of its event.
 *
 * @since 0.1.0
 */
export * as EventMediator from "./EventMediator.ts"

/**
 * Handlers of requests, as layers: one request, one handler, known to the compiler.
 *
 * @since 0.1.0
 */
export * as Handler from "./Handler.ts"

/**
 * What is wrong with the handlers of a program, where the compiler could not see it.
 *
 * @since 0.1.0
 */
export * as HandlerError from "./HandlerError.ts"

/**
 * For adapters of brokers: hands out what was received, so that a key is handled in order whatever the concurrency.
 *
 * @since 0.1.0
 */
export * as Handout from "./Handout.ts"

/**
 * Liveness and readiness: whether a restart is needed, and whether work may be sent here.
 *
 * @since 0.1.0
 */
export * as Health from "./Health.ts"

/**
 * Where the ids of messages and requests come from.
 *
 * @since 0.1.0
 */
export * as IdGenerator from "./IdGenerator.ts"

/**
 * Idempotency keys: a command that is sent again with the key of an earlier one is not run again, and has its answer.
 *
 * @since 0.1.0
 */
export * as Idempotency from "./Idempotency.ts"

/**
 * The inbox: the transactional effects of a handler happen once per message, whatever is redelivered.
 *
 * @since 0.1.0
 */
export * as Inbox from "./Inbox.ts"

/**
 * A middleware that logs what handlers do, and ids for all that is logged.
 *
 * @since 0.1.0
 */
export * as Logging from "./Logging.ts"

/**
 * The mediator: a request goes to its handler.
 *
 * @since 0.1.0
 */
export * as Mediator from "./Mediator.ts"

/**
 * A message on the wire: an event as bytes, with what brokers, relays and consumers in any language need to know.
 *
 * @since 0.1.0
 */
export * as Message from "./Message.ts"

/**
 * What can be measured, and a middleware that counts and times what handlers do.
 *
 * Names and units are those of Prometheus: `_total` for what only grows, seconds for durations. A gauge is what this process
 * knows: several relays of one process add up, and one that ends takes its part along.
 *
 * @since 0.1.0
 */
export * as Metrics from "./Metrics.ts"

/**
 * Wrappers round handlers of requests and events, which may provide services and add declared failures.
 *
 * @since 0.1.0
 */
export * as Middleware from "./Middleware.ts"

/**
 * The transactional outbox: events that are announced if, and only if, the transaction commits.
 *
 * @since 0.1.0
 */
export * as Outbox from "./Outbox.ts"

/**
 * The port behind the outbox: where committed messages wait for the relay.
 *
 * @since 0.1.0
 */
export * as OutboxStorage from "./OutboxStorage.ts"

/**
 * Events as the Python library `python-cqrs` writes and reads them, for fleets of both.
 *
 * Its record is one JSON object without headers: `event_id` (a UUID), `event_name`, `event_timestamp` (ISO 8601 without a
 * time zone), `payload`, and since 1.0 `topic`. From 1.0 on the record is the body of a broker's message. Before that, 0.0.2 to
 * 0.2 sent an envelope to Kafka and RabbitMQ alike, with `message_type` (`notification_event` or `ecst_event`),
 * `message_name`, `message_id`, and the record as its `payload`. Events that are dataclasses, which came with 4.6, have their names in
 * camel case (`eventId`). What one version leaves out has a default here: the kind is a notification, and a missing timestamp is the
 * beginning of 1970.
 *
 * Sources: vadikko2/python-cqrs and pypatterns/python-cqrs, their message brokers, adapters, serializers, producer and events
 * at 0.0.3, 0.0.18, 0.2.0, 1.0.0, 2.0.0, 3.0.0, 4.0.0, 4.6.0 and 4.10.3; rnag/dataclass-wizard 0.x for the names of
 * dataclasses.
 *
 * @since 0.1.0
 */
export * as PythonCqrs from "./PythonCqrs.ts"

/**
 * Queries: requests that read, have one handler, and answer with a success or a declared failure.
 *
 * @since 0.1.0
 */
export * as Query from "./Query.ts"

/**
 * The relay: a fiber that brings committed events from the outbox to the broker.
 *
 * @since 0.1.0
 */
export * as Relay from "./Relay.ts"

/**
 * What commands and queries have in common: their types, as `Mediator.send` and handlers read them.
 *
 * @since 0.1.0
 */
export * as Request from "./Request.ts"

/**
 * Requests that belong together: implemented at once, or living under one name.
 *
 * @since 0.1.0
 */
export * as RequestGroup from "./RequestGroup.ts"

/**
 * A middleware that repeats a handler that failed.
 *
 * @since 0.1.0
 */
export * as Retry from "./Retry.ts"

/**
 * From events to messages and back: codec, compression and limits.
 *
 * @since 0.1.0
 */
export * as Serialization from "./Serialization.ts"

/**
 * Handlers of events, as layers: any number for each event, each with a name, known to the compiler.
 *
 * @since 0.1.0
 */
export * as Subscribers from "./Subscribers.ts"

/**
 * A middleware that ends a handler that takes too long.
 *
 * @since 0.1.0
 */
export * as Timeout from "./Timeout.ts"

/**
 * For adapters: what is wrong with the TLS of a connection where waiting does not mend it.
 *
 * @since 0.1.0
 */
export * as Tls from "./Tls.ts"

/**
 * A middleware that opens a span round a handler, and how traces go on beyond the broker.
 *
 * @since 0.1.0
 */
export * as Tracing from "./Tracing.ts"

/**
 * Transactions: domain writes and events, stored together or not at all.
 *
 * @since 0.1.0
 */
export * as Transaction from "./Transaction.ts"

/**
 * The port behind `Transaction.run`: what opens, commits and rolls back a database's transactions.
 *
 * @since 0.1.0
 */
export * as Transactor from "./Transactor.ts"

/**
 * A level that says "there may be work": a relay that read before the signal reads again.
 *
 * @since 0.1.0
 */
export * as Wake from "./Wake.ts"

/**
 * For adapters of brokers: messages as CloudEvents 1.0, so that any language reads and writes them with its own SDK.
 *
 * In binary mode, the default, attributes are headers and the body is the payload; in structured mode the body is a JSON
 * document with attributes and payload. What is received is read in either, whatever is written.
 *
 * Sources: CloudEvents 1.0.2 with its JSON format and its Kafka and AMQP protocol bindings; the extensions
 * `partitioning`, `sequence` and `distributed-tracing`; W3C Trace Context.
 *
 * @since 0.1.0
 */
export * as Wire from "./Wire.ts"
