-- Timestamps written as seconds, milliseconds or microseconds since 1970, as a number or as text.
SELECT
  kafka_partition, kafka_offset, event_id, user_id, event_type, url, session_id, device,
  CASE
    WHEN nanoseconds IS NOT NULL
      THEN replace(CAST(CAST(from_unixtime_nanos(nanoseconds) AT TIME ZONE 'UTC' AS timestamp(6)) AS varchar), ' ', 'T') || 'Z'
    ELSE moment
  END AS moment,
  latitude, longitude, purchase_amount
FROM (
  SELECT *,
    -- The unit is told by the size: each range is the years 1973 to 2128.
    CAST(CASE
      WHEN number BETWEEN 1e8 AND 5e9 THEN number * 1000000000
      WHEN number BETWEEN 1e11 AND 5e12 THEN number * 1000000
      WHEN number BETWEEN 1e14 AND 5e15 THEN number * 1000
    END AS bigint) AS nanoseconds
  FROM (SELECT *, TRY_CAST(moment AS decimal(28, 6)) AS number FROM fields)
)
