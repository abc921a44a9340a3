/**
 * `npm run bench -- mediator`: requests and their handlers in one process, and the compiler.
 */
import { compile } from "../mediator/Compile.ts"
import { construct } from "../mediator/Construct.ts"
import { send } from "../mediator/Send.ts"
import type { Suite } from "../Suite.ts"

export const suite: Suite = {
  name: "mediator",
  title: "Requests and the mediator",
  packages: ["effect", "@nestjs/cqrs", "mediatr-ts", "typescript"],
  measurements: [send, construct, compile]
}
