/** The site: the Markdown of this folder as it is, and the reference that `scripts/site.mjs` makes of the doc comments. */
import { existsSync, readdirSync, readFileSync } from "node:fs"
import path from "node:path"
import { fileURLToPath } from "node:url"
import { defineConfig } from "vitepress"

const docs = fileURLToPath(new URL("..", import.meta.url))

/** The home page's list of guides, a group for each line in bold. */
const groups = () => {
  const result = []
  for (const line of readFileSync(path.join(docs, "README.md"), "utf8").split("\n")) {
    const heading = /^\*\*(.+)\*\*$/.exec(line)
    if (heading !== null) result.push({ text: heading[1], items: [] })
    for (const [, text, link] of line.startsWith("* ") ? line.matchAll(/\[([^\]]+)\]\(([^)]+)\.md\)/g) : []) {
      result.at(-1)?.items.push({
        text: text[0].toUpperCase() + text.slice(1),
        link: `/${link.replace(/README$/, "")}`
      })
    }
  }
  return result
}

/** A group of the reference for each package, with its modules. */
const reference = () => {
  const folder = path.join(docs, "reference")
  if (!existsSync(folder)) return []
  const entries = readdirSync(folder, { recursive: true }).filter((file) => file.endsWith(".md"))
  const packages = [...new Set(entries.filter((file) => file.includes(path.sep)).map((file) => path.dirname(file)))]
  return packages.sort().map((name) => ({
    text: `@effect-cqrs/${name}`,
    collapsed: true,
    items: entries
      .filter((file) => path.dirname(file) === name && path.basename(file) !== "README.md")
      .sort()
      .map((file) => ({
        text: path.basename(file, ".md"),
        link: `/reference/${file.replace(/\.md$/, "").split(path.sep).join("/")}`
      }))
  }))
}

export default defineConfig({
  title: "effect-cqrs",
  description: "Commands, queries and events for Effect, and a transactional outbox that loses nothing",
  cleanUrls: true,
  outDir: "../.cache/site",
  cacheDir: "../.cache/vitepress",
  // What GitHub shows for a folder is what the site shows.
  rewrites: (file) => file.replace(/(^|\/)README\.md$/, "$1index.md"),
  themeConfig: {
    outline: [2, 3],
    search: { provider: "local" },
    nav: [
      { text: "Guides", link: "/guides/getting-started" },
      { text: "Reference", link: "/reference/" },
      { text: "Benchmarks", link: "/benchmarks/" }
    ],
    sidebar: { "/reference/": reference(), "/": groups() }
  }
})
