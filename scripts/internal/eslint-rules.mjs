const isDirective = /^\s*(eslint-disable(?:-next-line|-line)?|@effect-diagnostics(?:-next-line)?)\b/
const hasReason = /\s--\s+\S/

/** A rule is suspended only with the reason beside it: `eslint-disable-next-line rule -- reason`. */
const reasonedDisable = {
  meta: { type: "suggestion", schema: [], messages: { reason: "Say why, after ` -- `." } },
  create: (context) => ({
    Program: () => {
      for (const comment of context.sourceCode.getAllComments()) {
        if (isDirective.test(comment.value) && !hasReason.test(comment.value)) {
          context.report({ loc: comment.loc, messageId: "reason" })
        }
      }
    }
  })
}

const namesOf = (declaration) =>
  declaration.declarations === undefined
    ? [declaration.id?.name ?? "default"]
    : declaration.declarations.map(({ id }) => id.name)

/** Every export of a public module has a doc comment with `@since` and one `@category`; an `@internal` one has neither. */
const documentedExport = {
  meta: {
    type: "suggestion",
    schema: [],
    messages: {
      comment: "{{name}} is exported without a doc comment.",
      tags: "The doc comment of {{name}} needs `@since` and one `@category`."
    }
  },
  create: (context) => {
    const seen = new Set()
    return {
      ExportNamedDeclaration: (node) => {
        if (node.declaration === null) return
        const [name] = namesOf(node.declaration)
        const comment = context.sourceCode.getCommentsBefore(node).findLast(({ value }) => value.startsWith("*"))
        // The comment stands on the first of an overload's signatures, or of a type and a value of one name.
        const isDocumented = comment !== undefined
        if (!isDocumented && seen.has(name)) return
        seen.add(name)
        if (!isDocumented) return context.report({ node, messageId: "comment", data: { name } })
        if (/@internal\b/.test(comment.value)) return
        if (!/@since \S/.test(comment.value) || comment.value.split("@category ").length !== 2) {
          context.report({ node, messageId: "tags", data: { name } })
        }
      }
    }
  }
}

/** The house's own lint rules. */
export default { rules: { "documented-export": documentedExport, "reasoned-disable": reasonedDisable } }
