import type { Outgoing } from "@effect-cqrs/core/OutboxStorage"
import type { Journal, Level, Transactor } from "@effect-cqrs/core/Transactor"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type { Recorder } from "../../Recorder.ts"

/** A transactor that tells a recorder what becomes of the events that its transactions add. */
export const recordingTransactor = (
  transactor: Context.Tag.Service<Transactor>,
  { record }: Context.Tag.Service<Recorder>
): Context.Tag.Service<Transactor> => ({
  isConflict: transactor.isConflict,
  begin: (options) =>
    Effect.map(transactor.begin(options), (session) => {
      let journal: Journal | undefined
      /** How many events there were at each savepoint of the library's own. */
      const marks = new Map<string, number>()
      const messages = (): ReadonlyArray<Outgoing> => journal?.messages ?? []
      /** What was lost at a savepoint that is not the library's, to be told with what is lost next or at the end. */
      let lost: ReadonlyArray<Outgoing> = []
      const recordAll = (_tag: "Added" | "RolledBack", all: ReadonlyArray<Outgoing>) =>
        Effect.forEach(all, ({ keyLock: _, ...message }) => record({ _tag, message }), { discard: true })
      const rolledBack = (all: ReadonlyArray<Outgoing>) =>
        Effect.suspend(() => {
          const gone = [...lost, ...all]
          lost = []
          return recordAll("RolledBack", gone)
        })

      return {
        ...session,
        join: (level, fiber) => {
          journal ??= level.journal
          const noticed = noticing(level, (gone) => {
            lost = [...lost, ...gone]
          })
          return session.join(noticed, fiber)
        },
        savepoint: (name) =>
          Effect.zipRight(session.savepoint(name), Effect.sync(() => void marks.set(name, messages().length))),
        rollbackTo: (name) =>
          Effect.zipRight(
            session.rollbackTo(name),
            Effect.suspend(() => rolledBack(messages().slice(marks.get(name) ?? 0)))
          ),
        commit: (all) =>
          session.commit(all).pipe(
            Effect.tapBoth({
              onFailure: ({ reason }) => reason === "OutcomeUnknown" ? Effect.void : rolledBack(all),
              onSuccess: () => Effect.zipRight(rolledBack([]), recordAll("Added", all))
            })
          ),
        rollback: Effect.zipRight(session.rollback, Effect.suspend(() => rolledBack(messages())))
      }
    })
})

/** A level whose journal tells what a savepoint that the library did not open takes with it. */
const noticing = (level: Level, onGone: (gone: ReadonlyArray<Outgoing>) => void): Level => ({
  depth: level.depth,
  ended: level.ended,
  touch: level.touch,
  journal: {
    savepoint: level.journal.savepoint,
    release: level.journal.release,
    rollbackTo: (name) => {
      const before = level.journal.messages
      const isKnown = level.journal.rollbackTo(name)
      onGone(before.slice(level.journal.messages.length))
      return isKnown
    },
    get messages() {
      return level.journal.messages
    }
  }
})
