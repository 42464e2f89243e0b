-- The fields with the types of the table; null where the text is no such value.
SELECT
  payload, kafka_partition, kafka_offset, ingested_at, malformed,
  event_id, user_id, event_type, url, session_id, device,
  CASE
    WHEN REGEXP(moment, '$utc_timestamp')
      THEN CAST(TRY_CAST(REPLACE(SUBSTRING(moment FROM 1 FOR CHAR_LENGTH(moment) - 1), 'T', ' ') AS TIMESTAMP(6))
        AS TIMESTAMP_LTZ(6))
    WHEN REGEXP(moment, '$offset_timestamp')
      THEN CAST(TIMESTAMPADD(
        MINUTE,
        CAST(REGEXP_EXTRACT(moment, '$offset_timestamp', 2) || '1' AS INT)
          * (CAST(REGEXP_EXTRACT(moment, '$offset_timestamp', 3) AS INT) * -60
            - CAST(REGEXP_EXTRACT(moment, '$offset_timestamp', 4) AS INT)),
        TRY_CAST(REPLACE(REGEXP_EXTRACT(moment, '$offset_timestamp', 1), 'T', ' ') AS TIMESTAMP(6))
      ) AS TIMESTAMP_LTZ(6))
  END AS event_time,
  TRY_CAST(latitude AS DOUBLE) AS latitude,
  TRY_CAST(longitude AS DOUBLE) AS longitude,
  purchase_amount IS NULL OR purchase_amount = 'null' AS unpaid,
  TRY_CAST(purchase_amount AS DECIMAL(38, 18)) AS purchase_amount
FROM fields
