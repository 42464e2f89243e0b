-- Whether it is an event: the first rule it breaks is the reason, in the order of clicklake.events.Reason.
SELECT
  payload, kafka_partition, kafka_offset, ingested_at,
  event_id, user_id, event_type, url, session_id, device, event_time, latitude, longitude, purchase_amount,
  event_time < ingested_at - $late_interval AS late,
  CASE
    WHEN malformed IS NOT NULL THEN malformed
    WHEN event_id IS NULL OR NOT REGEXP(event_id, '$uuid') THEN 'event_id'
    WHEN user_id IS NULL OR NOT REGEXP(user_id, '$uuid') THEN 'user_id'
    WHEN event_type IS NULL OR event_type NOT IN ($event_types) THEN 'event_type'
    WHEN url IS NULL OR url NOT LIKE '/%' OR CHAR_LENGTH(url) > $url_max_chars THEN 'url'
    WHEN session_id IS NULL OR NOT REGEXP(session_id, '$uuid') THEN 'session_id'
    WHEN device IS NULL OR device NOT IN ($devices) THEN 'device'
    WHEN event_time IS NULL THEN 'timestamp'
    WHEN event_time < TIMESTAMPADD(DAY, -$event_age_days, ingested_at) THEN 'timestamp_too_old'
    WHEN event_time > ingested_at + $event_ahead_interval THEN 'timestamp_in_future'
    WHEN latitude IS NULL OR latitude NOT BETWEEN $latitude_min AND $latitude_max THEN 'geo_location'
    WHEN longitude IS NULL OR longitude NOT BETWEEN $longitude_min AND $longitude_max THEN 'geo_location'
    WHEN NOT unpaid AND (purchase_amount IS NULL OR purchase_amount NOT BETWEEN $amount_min AND $amount_max)
      THEN 'purchase_amount'
  END AS reason
FROM `values`
