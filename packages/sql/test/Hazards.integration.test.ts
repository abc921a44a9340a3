import { ofServer } from "./databases.ts"
import { hazards } from "./hazards.ts"
import { onEachServer } from "./servers.ts"

onEachServer((server, url) => hazards(ofServer(server, url)))
