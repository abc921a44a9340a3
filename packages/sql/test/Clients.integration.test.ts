import { clients } from "./clients.ts"
import { ofServer } from "./databases.ts"
import { onEachServer } from "./servers.ts"

onEachServer((server, url) => clients(ofServer(server, url)))
