/**
 * What can be measured of consumers.
 *
 * @since 0.1.0
 */
import * as Metric from "effect/Metric"

/**
 * How many messages lie behind those that a group has settled, by `group`, `topic` and `partition`: of the partitions that
 * members in this process have, and 0 for those they had. So many series as there are partitions: leave the tag out where
 * this is too many.
 *
 * @since 0.1.0
 * @category metrics
 */
export const lag = Metric.gauge("cqrs_consumer_lag", {
  description: "Messages that wait behind those that the group has settled"
})
