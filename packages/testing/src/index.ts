/**
 * Tests that need a real server: they run where its endpoint is known, show as skipped where it is not, and fail in CI.
 *
 * @since 0.1.0
 */
export * as Endpoint from "./Endpoint.ts"
