-- What becomes of each record: an event, or rejected with a reason. A copy is told by its event_id, for as long as the
-- state keeps it; a record that is no event is a group of its own, since one group for all would be a hot one.
WITH judged AS (
  SELECT
    payload, kafka_partition, kafka_offset, ingested_at,
    event_id, user_id, event_type, url, session_id, device, event_time, latitude, longitude, purchase_amount,
    PROCTIME() AS arrived_at,
    $rules AS reason
  FROM plain
  UNION ALL
  SELECT
    payload, kafka_partition, kafka_offset, ingested_at,
    event_id, user_id, event_type, url, session_id, device, event_time, latitude, longitude, purchase_amount,
    PROCTIME() AS arrived_at,
    $rules AS reason
  FROM parsed
)
SELECT
  payload, kafka_partition, kafka_offset, CAST(ingested_at AS TIMESTAMP_LTZ(6)) AS ingested_at,
  event_id, user_id, event_type, url, session_id, device, event_time, latitude, longitude,
  CAST(purchase_amount AS DECIMAL($amount_digits)) AS purchase_amount,
  event_time < ingested_at - $late_interval AS late,
  CAST(CASE WHEN event_time < ingested_at - $late_interval THEN ingested_at ELSE event_time END AS TIMESTAMP_LTZ(3))
    AS window_time,
  CASE WHEN reason IS NOT NULL THEN reason WHEN copies > 1 THEN 'duplicate' END AS reason
FROM (
  SELECT *,
    COUNT(*) OVER (
      PARTITION BY CASE
        WHEN reason IS NULL THEN LOWER(event_id)
        ELSE CAST(kafka_partition AS STRING) || '/' || CAST(kafka_offset AS STRING)
      END
      ORDER BY arrived_at
    ) AS copies
  FROM judged
)
