import { sqlite } from "./databases.ts"
import { hazards } from "./hazards.ts"

hazards(sqlite)
