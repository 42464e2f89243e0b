-- The same of an event written plainly, whose strings are known to be right.
SELECT
  payload, kafka_partition, kafka_offset, ingested_at,
  CAST(NULL AS STRING) AS wrong,
  plain[1] AS event_id, plain[2] AS user_id, plain[3] AS event_type, plain[4] AS url, plain[5] AS session_id,
  plain[6] AS device,
  TIMESTAMPADD(
    SECOND,
    CAST(SUBSTRING(plain[7] FROM 12 FOR 2) AS INT) * 3600 + CAST(SUBSTRING(plain[7] FROM 15 FOR 2) AS INT) * 60
      + CAST(SUBSTRING(plain[7] FROM 18 FOR 2) AS INT),
    CAST(TRY_CAST(SUBSTRING(plain[7] FROM 1 FOR 10) AS DATE) AS TIMESTAMP_LTZ(6))
  ) AS event_time,
  CAST(plain[8] AS DOUBLE) AS latitude,
  CAST(plain[9] AS DOUBLE) AS longitude,
  plain[10] = 'null' AS unpaid,
  CASE WHEN plain[10] <> 'null' THEN CAST(plain[10] AS DECIMAL(38, 18)) END AS purchase_amount
FROM texts
WHERE plain IS NOT NULL
