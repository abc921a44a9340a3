import type { Connection } from "@effect/sql/SqlConnection"
import type { SqlError } from "@effect/sql/SqlError"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Opening } from "./dialect.ts"

/**
 * A connection whose first statement begins a transaction: in the same round trip if it is text, else in one before. Until
 * one has succeeded each does, since of several statements the driver does not say which has failed: no statement ever
 * runs outside of the transaction.
 */
export class Opened implements Connection {
  private isOpen = false

  constructor(private readonly connection: Connection, private readonly opening: Opening) {}

  execute(...[sql, params, transform]: Parameters<Connection["execute"]>): ReturnType<Connection["execute"]> {
    return this.before(() => this.connection.execute(sql, params, transform))
  }

  executeRaw(...[sql, params]: Parameters<Connection["executeRaw"]>): ReturnType<Connection["executeRaw"]> {
    return this.before(() => this.connection.executeRaw(sql, params))
  }

  executeValues(...[sql, params]: Parameters<Connection["executeValues"]>): ReturnType<Connection["executeValues"]> {
    return this.before(() => this.connection.executeValues(sql, params))
  }

  executeUnprepared(
    ...[sql, params, transform]: Parameters<Connection["executeUnprepared"]>
  ): ReturnType<Connection["executeUnprepared"]> {
    if (this.isOpen) return this.connection.executeUnprepared(sql, params, transform)
    const { count, text } = this.opening
    return Effect.map(this.connection.executeUnprepared(`${text}; ${sql}`, params, undefined), (answers) => {
      this.isOpen = true
      const own = answers.slice(count)
      // alone it would have been answered with its rows, or with none
      const rows = own.length > 1 ? own : Array.isArray(own[0]) ? own[0] : []
      return transform === undefined ? rows : transform(rows)
    })
  }

  executeStream(
    ...[sql, params, transform]: Parameters<Connection["executeStream"]>
  ): ReturnType<Connection["executeStream"]> {
    return Stream.unwrap(
      this.before(() => Effect.succeed(this.connection.executeStream(sql, params, transform)))
    )
  }

  private before<A>(run: () => Effect.Effect<A, SqlError>): Effect.Effect<A, SqlError> {
    if (this.isOpen) return run()
    return Effect.flatMap(this.connection.executeUnprepared(this.opening.text, [], undefined), () => {
      this.isOpen = true
      return run()
    })
  }
}
