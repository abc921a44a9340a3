import { assert, describe, it } from "vitest"
import { explainFailure, isNodeSupported, nodeTooOld, npmCommand, pnpmVersion, stampOf } from "../internal/install.mjs"

describe("run", () => {
  it("asks for Node 20.19 or newer", () => {
    assert.deepStrictEqual(
      ["18.20.4", "20.18.9", "20.19.0", "20.20.2", "22.1.0"].map(isNodeSupported),
      [false, false, true, true, true]
    )
    assert.match(nodeTooOld("18.20.4"), /^Node 20\.19 or newer is needed and this is 18\.20\.4\. Install/)
  })

  it("reads the pinned pnpm from packageManager, with or without its hash", () => {
    assert.strictEqual(pnpmVersion("pnpm@10.34.9+sha512.f49b"), "10.34.9")
    assert.strictEqual(pnpmVersion("pnpm@10.34.9"), "10.34.9")
    assert.throws(() => pnpmVersion("yarn@4.0.0"), /must read pnpm@<version>/)
    assert.throws(() => pnpmVersion(undefined), /must read pnpm@<version>/)
  })

  it("installs again when the lockfile, a package.json, Node's major version or the platform changes", () => {
    const files = [["pnpm-lock.yaml", "a"], ["package.json", "b"]]
    const stamp = stampOf(files, "20.20.2", "linux x64")
    assert.strictEqual(stampOf(files, "20.19.0", "linux x64"), stamp)
    assert.notStrictEqual(stampOf([["pnpm-lock.yaml", "c"], ["package.json", "b"]], "20.20.2", "linux x64"), stamp)
    assert.notStrictEqual(stampOf([...files, ["packages/a/package.json", ""]], "20.20.2", "linux x64"), stamp)
    assert.notStrictEqual(stampOf(files, "22.0.0", "linux x64"), stamp)
    assert.notStrictEqual(stampOf(files, "20.20.2", "darwin arm64"), stamp)
  })

  it("says what to do about each way an installation fails", () => {
    const says = (output) => explainFailure(output, "pnpm@10.34.9")
    assert.match(says("ERR_PNPM_OUTDATED_LOCKFILE Cannot install"), /pnpm@10\.34\.9 -- pnpm install` and commit/)
    assert.match(says("npm error code ENOTFOUND"), /registry could not be reached. Check the network/)
    assert.match(says("npm error code EACCES"), /Make sure that you own/)
    assert.match(says("ENOSPC: no space left on device"), /Free some space/)
    assert.match(says("npm error code E401"), /registry refused the request/)
    assert.match(says("npm error code EINTEGRITY"), /npm cache clean/)
    assert.match(says("something else"), /the reason stands above/)
  })

  it("starts the npm that runs it, else the one beside Node, else the one on the PATH", () => {
    const everything = () => true
    const nothing = () => false
    assert.deepStrictEqual(npmCommand({ npm_execpath: "/npm/bin/npm-cli.js" }, "/bin/node", everything), [
      "/bin/node",
      "/npm/bin/npm-cli.js"
    ])
    assert.deepStrictEqual(npmCommand({ npm_execpath: "/pnpm/bin/pnpm.cjs" }, "/opt/bin/node", everything), [
      "/opt/bin/node",
      "/opt/lib/node_modules/npm/bin/npm-cli.js"
    ])
    assert.deepStrictEqual(npmCommand({}, "/opt/bin/node", nothing), ["npm"])
  })
})
