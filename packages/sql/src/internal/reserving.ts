import type { SqlClient } from "@effect/sql/SqlClient"
import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Runtime from "effect/Runtime"
import * as Scope from "effect/Scope"

/** A connection of the pool that is somebody's. */
export interface Reserved {
  readonly connection: Connection
  readonly giveBack: Effect.Effect<void>
}

/**
 * Takes connections of the pool: interrupted while it waits for one, it lets go at once; the driver may still be given one
 * for it then, which goes straight back (@effect/sql-pg would keep it). To be used in a region that cannot be interrupted,
 * which `restore` opens for the wait.
 *
 * What the client has to do for it runs in fibers of its own, as they were when this was made: a client's finalizer puts the
 * fiber refs with which it took the connection in place of those of whoever closes its scope. Where these are others it
 * looks for what differs, and each transaction would leave a trace in the fiber that runs many.
 */
export const reserving = (sql: SqlClient, runtime: Runtime.Runtime<never>) =>
(
  restore: <A, E>(effect: Effect.Effect<A, E>) => Effect.Effect<A, E>
): Effect.Effect<Reserved, SqlError> =>
  Effect.flatMap(Scope.make(), (scope) => {
    const run = Runtime.runFork(Runtime.provideService(runtime, Scope.Scope, scope))
    const close = Scope.close(scope, Exit.void)
    const taking = run(sql.reserve)
    const taken = Effect.async<Connection, SqlError>((resume) => taking.addObserver(resume))
    const giveBack = Effect.suspend(() => {
      const closing = run(close)
      return closing.unsafePoll() === null ? Effect.asVoid(closing.await) : Effect.void
    })
    return Effect.matchCauseEffect(restore(taken), {
      onFailure: (cause) => {
        taking.addObserver(() => run(close))
        return Effect.failCause(cause)
      },
      onSuccess: (connection) => Effect.succeed({ connection, giveBack })
    })
  })
