-- The fields with the types of the table, null where the text is no such value, and the first string that breaks a rule.
SELECT
  payload, kafka_partition, kafka_offset, ingested_at,
  CASE
    WHEN malformed IS NOT NULL THEN malformed
    WHEN event_id IS NULL OR NOT REGEXP(event_id, '$uuid') THEN 'event_id'
    WHEN user_id IS NULL OR NOT REGEXP(user_id, '$uuid') THEN 'user_id'
    WHEN event_type IS NULL OR event_type NOT IN ($event_types) THEN 'event_type'
    WHEN url IS NULL OR url NOT LIKE '/%' OR CHAR_LENGTH(url) > $url_max_chars THEN 'url'
    WHEN session_id IS NULL OR NOT REGEXP(session_id, '$uuid') THEN 'session_id'
    WHEN device IS NULL OR device NOT IN ($devices) THEN 'device'
  END AS wrong,
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
  purchase_amount IS NULL AS unpaid,
  TRY_CAST(purchase_amount AS DECIMAL(38, 18)) AS purchase_amount
FROM fields
