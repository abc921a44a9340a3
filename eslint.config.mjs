import * as effect from "@effect/eslint-plugin"
import js from "@eslint/js"
import tseslint from "typescript-eslint"
import house from "./scripts/internal/eslint-rules.mjs"

const anyValue =
  "Give the value a type. `any` as a value stands only where a prototype or a Context is built, with the " +
  "reason: // eslint-disable-next-line no-restricted-syntax -- reason"
const functions = ":matches(FunctionDeclaration, FunctionExpression, ArrowFunctionExpression)"

const everywhere = [
  {
    selector: "CallExpression[callee.property.name='push'] > SpreadElement.arguments",
    message: "A spread in push overflows the stack on a long array."
  }
]

const inSources = [
  { selector: ":function[async=true]", message: "Use Effect: a Promise enters by Effect.tryPromise." },
  { selector: "TryStatement", message: "Use Effect.try or Effect.tryPromise." },
  {
    selector:
      "MemberExpression[object.name='Date'][property.name='now'], NewExpression[callee.name='Date'][arguments.length=0]",
    message: "Use Clock or DateTime."
  },
  { selector: "MemberExpression[object.name='Math'][property.name='random']", message: "Use Random." },
  {
    selector: "CallExpression[callee.name=/^(setTimeout|setInterval|setImmediate)$/]",
    message: "Use Effect.sleep, Effect.timeout or Schedule."
  },
  { selector: ":matches(TSAsExpression, TSTypeAssertion) > TSAnyKeyword", message: anyValue },
  {
    selector: ":matches(VariableDeclarator > .id, PropertyDefinition) > TSTypeAnnotation > TSAnyKeyword",
    message: anyValue
  },
  { selector: `${functions} > Identifier.params > TSTypeAnnotation > TSAnyKeyword`, message: anyValue },
  { selector: `${functions} > TSTypeAnnotation.returnType > TSAnyKeyword`, message: anyValue }
]

const inTests = [
  { selector: "CallExpression[callee.property.name='only']", message: "A focused test leaves the others out." }
]

const barrels = [
  "effect",
  "@effect/platform",
  "@effect/sql",
  "@effect-cqrs/core",
  "@effect-cqrs/amqp",
  "@effect-cqrs/contracts",
  "@effect-cqrs/kafka",
  "@effect-cqrs/sql",
  "@effect-cqrs/testing"
]

export default tseslint.config(
  { ignores: ["**/dist/", "**/coverage/", ".cache/", "scratchpad/"] },
  { linterOptions: { reportUnusedDisableDirectives: "error" } },
  js.configs.recommended,
  ...tseslint.configs.recommended,
  ...effect.configs.dprint,
  {
    plugins: { house },
    rules: {
      "house/reasoned-disable": "error",
      "no-warning-comments": ["error", { terms: ["todo", "fixme", "xxx"], location: "anywhere" }],
      "no-duplicate-imports": ["error", { allowSeparateTypeImports: true }],
      "no-restricted-syntax": ["error", ...everywhere],
      "object-shorthand": "error",
      "require-yield": "off",

      "@typescript-eslint/array-type": ["error", { default: "generic", readonly: "generic" }],
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-unused-vars": ["error", { argsIgnorePattern: "^_", varsIgnorePattern: "^_" }],
      // Effect's own idioms: constraints over `any`, `{}` as the empty requirement, a type and its companion.
      "@typescript-eslint/no-empty-object-type": "off",
      "@typescript-eslint/no-explicit-any": "off",
      "@typescript-eslint/no-namespace": "off",

      "@effect/dprint": [
        "error",
        {
          config: {
            indentWidth: 2,
            lineWidth: 120,
            semiColons: "asi",
            quoteStyle: "alwaysDouble",
            trailingCommas: "never",
            operatorPosition: "maintain",
            "arrowFunction.useParentheses": "force"
          }
        }
      ]
    }
  },
  {
    files: ["**/*.ts"],
    // The compiler knows these better.
    rules: { "no-undef": "off", "no-redeclare": "off", "no-dupe-class-members": "off" }
  },
  {
    files: ["**/*.mjs", "**/*.cjs"],
    languageOptions: {
      globals: Object.fromEntries(
        [
          "AbortSignal",
          "Buffer",
          "URL",
          "clearInterval",
          "clearTimeout",
          "console",
          "fetch",
          "module",
          "process",
          "setInterval",
          "setTimeout"
        ]
          .map((name) => [name, "readonly"])
      )
    }
  },
  {
    files: ["packages/*/src/**/*.ts"],
    ignores: ["packages/{examples,benchmarks,chaos}/**"],
    rules: {
      "no-console": "error",
      "no-restricted-imports": [
        "error",
        { paths: barrels.map((name) => ({ name, message: `Import the module: ${name}/<Module>.` })) }
      ],
      "no-restricted-syntax": ["error", ...everywhere, ...inSources]
    }
  },
  {
    files: ["packages/*/src/*.ts"],
    ignores: ["packages/{examples,benchmarks,chaos}/**", "**/index.ts"],
    rules: { "house/documented-export": "error" }
  },
  {
    files: ["packages/*/test/**/*.ts"],
    ignores: ["**/*.tst.ts"],
    rules: {
      "no-console": "error",
      "no-restricted-imports": [
        "error",
        {
          paths: ["vitest", "@effect/vitest"].map((name) => ({
            name,
            importNames: ["expect", "vi"],
            message: "Tests assert with `assert`, and use layers in place of spies."
          }))
        }
      ],
      "no-restricted-syntax": ["error", ...everywhere, ...inTests]
    }
  }
)
