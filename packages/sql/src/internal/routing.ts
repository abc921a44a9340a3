import type { Joined } from "@effect-cqrs/core/Transactor"
import { type SqlClient, TransactionConnection } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import { SqlError } from "@effect/sql/SqlError"
import { currentTransformer, type Statement } from "@effect/sql/Statement"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"

/*
 * `@effect/sql` has one `TransactionConnection` for all clients: each client runs its statements on whatever connection it
 * finds there. A connection does not see whose statement it is given, and a transformer of statements does not decide
 * where they run. So the transformer, which knows the statement's client, marks the parameters of a statement that belongs
 * elsewhere, and the connection looks for the mark.
 */

/** Runs the statements of an effect beside the transaction that is open. */
export const outside = <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.mapInputContext(
    effect,
    (context: Context.Context<R>) => Context.omit(TransactionConnection)(context) as Context.Context<R>
  )

/** What all statements of a client have in common, those of its `withoutTransforms()` too. */
export type Client = Connection.Acquirer | undefined

export const clientOf = (sql: SqlClient): Client => clientOfStatement(sql.unsafe(""))

/** The innermost transaction, of this library or not, of whatever client. */
export const openIn = (context: Context.Context<never>): Open | undefined =>
  context.unsafeMap.get(TransactionConnection.key)

/** Whether a connection in the context is one of this library's. */
export const isOurs = (connection: Connection): boolean => connection instanceof Placed

/**
 * The connection of the transaction of this library that is open for a fiber; `"elsewhere"` if it is one of another client,
 * `undefined` if there is none.
 */
export const connectionFor = (
  client: Client,
  fiber: Fiber.RuntimeFiber<unknown, unknown>
): Connection | "elsewhere" | undefined => {
  const open = openIn(fiber.currentContext)
  if (isForeign(client, open)) return "elsewhere"
  return open === undefined ? undefined : placeOf(open)?.connection
}

/** Whether a transaction of this library is open, and it is of another client. */
export const isElsewhere = (client: Client): Effect.Effect<boolean> =>
  Effect.withFiberRuntime((fiber) => Effect.succeed(connectionFor(client, fiber) === "elsewhere"))

/**
 * What lets the statements of a fiber's effect run on a connection. Those of another client run on the connection of that
 * one's transaction further out, or on one of their own, and are no part of this transaction.
 */
export const joined = (
  { client, connection, depth, fiber }: {
    readonly client: Client
    readonly connection: Connection
    readonly depth: number
    readonly fiber: Fiber.RuntimeFiber<unknown, unknown>
  }
): Joined => {
  const around = openIn(fiber.currentContext)
  // a `withTransaction` inside calls its savepoint by the counter: no name of one that is open further out may come again
  const counter = Math.max(depth, around?.[1] ?? 0)
  return {
    services: Context.make(TransactionConnection, [new Placed(client, connection, counter, around), counter]),
    refs: [[currentTransformer, Option.some(routing(fiber.getFiberRef(currentTransformer)))]]
  }
}

// -------------------------------------------------------------------------------------
// internal
// -------------------------------------------------------------------------------------

/** A connection and how many transactions of clients are open on it: the value of `TransactionConnection`. */
type Open = readonly [connection: Connection, counter: number]

/** Not in the types of @effect/sql. Where it is missing, everything runs in the open transaction, as without routing. */
const clientOfStatement = (statement: Statement<unknown>): Client =>
  (statement as { readonly acquirer?: Connection.Acquirer }).acquirer

/** Where a statement runs that does not belong to the innermost transaction. */
interface Target {
  readonly connection: Connection.Acquirer
  readonly open: Open | undefined
}

const targets = new WeakMap<ReadonlyArray<unknown>, Connection.Acquirer>()

const isForeign = (client: Client, open: Open | undefined): boolean => {
  const innermost = open === undefined ? undefined : placeOf(open)?.client
  return client !== undefined && innermost !== undefined && innermost !== client
}

const targetOf = (statement: Statement<unknown>, refs: FiberRefs.FiberRefs): Target | undefined => {
  const client = clientOfStatement(statement)
  let open = openIn(FiberRefs.getOrDefault(refs, FiberRef.currentContext))
  if (client === undefined || !isForeign(client, open)) return undefined
  while (open !== undefined) {
    const place = placeOf(open)
    if (place === undefined) break
    if (place.client === client) return { connection: Effect.succeed(place.connection), open }
    if (open[1] > place.depth) return { connection: ambiguous, open: undefined }
    open = place.around
  }
  return { connection: outside(client), open: undefined }
}

const ambiguous = Effect.suspend(() =>
  new SqlError({
    cause: undefined,
    message: "A statement of another SqlClient came inside a sql.withTransaction inside Transaction.run: whose " +
      "transaction that was to be cannot be known. Use a Transaction.run of that client's database, or run the " +
      "statement outside of the withTransaction"
  })
)

/** The statement with parameters that say where it runs. */
const addressed = (statement: Statement<unknown>, target: Target): Statement<unknown> =>
  Object.create(statement, {
    compile: {
      value: (withoutTransform?: boolean) => {
        const [text, params] = statement.compile(withoutTransform)
        const marked = [...params]
        targets.set(marked, target.connection)
        return [text, marked]
      }
    }
  })

const mentioned = new WeakSet<Connection.Acquirer>()

/** Once per client: it may be meant so, and it may be the same database by a client that was built twice. */
const mention = (statement: Statement<unknown>): Effect.Effect<void> =>
  Effect.suspend(() => {
    const client = clientOfStatement(statement)
    if (client === undefined || mentioned.has(client)) return Effect.void
    mentioned.add(client)
    return Effect.logWarning(
      "A statement of another SqlClient runs inside Transaction.run and is no part of its transaction. If it is meant to " +
        "be one, give the program and SqlStorage the same client: a Layer.fresh that is provided twice makes two"
    )
  })

const routings = new WeakSet<Statement.Transformer>()

/** Routes behind the program's own transformer, if there is one. */
const routing = (transformer: Option.Option<Statement.Transformer>): Statement.Transformer => {
  if (Option.isNone(transformer)) return route
  const own = transformer.value
  if (routings.has(own)) return own
  const both: Statement.Transformer = (statement, sql, refs, span) => {
    const target = targetOf(statement, refs)
    const made = own(statement, sql, refs, span)
    if (target === undefined) return made
    const there = target.open === undefined
      ? outside(made)
      : Effect.provideService(made, TransactionConnection, target.open)
    return Effect.zipRight(mention(statement), Effect.map(there, (statement) => addressed(statement, target)))
  }
  routings.add(both)
  return both
}

const route: Statement.Transformer = (statement, _sql, refs) => {
  const target = targetOf(statement, refs)
  return target === undefined ? Effect.succeed(statement) : Effect.as(mention(statement), addressed(statement, target))
}
routings.add(route)

/** A connection that hands on what is marked for another, and where it stands. */
class Placed implements Connection {
  constructor(
    readonly client: Client,
    readonly connection: Connection,
    /** The counter at which no `withTransaction` is open in it. */
    readonly depth: number,
    /** What was open where it was opened. */
    readonly around: Open | undefined
  ) {}

  execute(...[sql, params, transform]: Parameters<Connection["execute"]>): ReturnType<Connection["execute"]> {
    return this.on(params, (there) => there.execute(sql, params, transform))
  }

  executeRaw(...[sql, params]: Parameters<Connection["executeRaw"]>): ReturnType<Connection["executeRaw"]> {
    return this.on(params, (there) => there.executeRaw(sql, params))
  }

  executeValues(...[sql, params]: Parameters<Connection["executeValues"]>): ReturnType<Connection["executeValues"]> {
    return this.on(params, (there) => there.executeValues(sql, params))
  }

  executeUnprepared(
    ...[sql, params, transform]: Parameters<Connection["executeUnprepared"]>
  ): ReturnType<Connection["executeUnprepared"]> {
    return this.on(params, (there) => there.executeUnprepared(sql, params, transform))
  }

  executeStream(
    ...[sql, params, transform]: Parameters<Connection["executeStream"]>
  ): ReturnType<Connection["executeStream"]> {
    const target = targets.get(params)
    return target === undefined
      ? this.connection.executeStream(sql, params, transform)
      : Stream.unwrapScoped(Effect.map(target, (there) => there.executeStream(sql, params, transform)))
  }

  private on<A>(
    params: ReadonlyArray<unknown>,
    run: (connection: Connection) => Effect.Effect<A, SqlError>
  ): Effect.Effect<A, SqlError> {
    const target = targets.get(params)
    return target === undefined ? run(this.connection) : Effect.scoped(Effect.flatMap(target, run))
  }
}

const placeOf = ([connection]: Open): Placed | undefined => connection instanceof Placed ? connection : undefined
