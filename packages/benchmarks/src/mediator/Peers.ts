/**
 * Libraries that do the same job.
 */
import { Module } from "@nestjs/common"
import { NestFactory } from "@nestjs/core"
import { Command, CommandBus, CommandHandler, CqrsModule, type ICommandHandler } from "@nestjs/cqrs"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as mediatr from "mediatr-ts"
import "reflect-metadata"

export interface Peer {
  /** Sends the one request again. */
  readonly send: () => Promise<number>
}

export const nest: Effect.Effect<Peer, unknown, Scope.Scope> = Effect.gen(function*() {
  class Ask extends Command<number> {
    constructor(readonly room: string, readonly seats: number) {
      super()
    }
  }
  class AskHandler implements ICommandHandler<Ask> {
    execute(_: Ask): Promise<number> {
      return Promise.resolve(42)
    }
  }
  CommandHandler(Ask)(AskHandler)
  class App {}
  Module({ imports: [CqrsModule.forRoot()], providers: [AskHandler] })(App)
  const app = yield* Effect.acquireRelease(
    Effect.promise(async () => {
      const app = await NestFactory.createApplicationContext(App, { logger: false })
      return app.init()
    }),
    (app) => Effect.promise(() => app.close())
  )
  const bus = app.get(CommandBus)
  const ask = new Ask("blue", 4)
  return { send: () => bus.execute(ask) }
})

export const mediatrTs: Effect.Effect<Peer> = Effect.sync(() => {
  class Ask extends mediatr.RequestData<number> {
    constructor(readonly room: string, readonly seats: number) {
      super()
    }
  }
  class AskHandler implements mediatr.RequestHandler<Ask, number> {
    handle(_: Ask): Promise<number> {
      return Promise.resolve(42)
    }
  }
  mediatr.requestHandler(Ask)(AskHandler)
  const mediator = new mediatr.Mediator()
  const ask = new Ask("blue", 4)
  return { send: () => mediator.send(ask) }
})
