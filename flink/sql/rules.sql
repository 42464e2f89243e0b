-- The first rule of its values that a record breaks, in the order of clicklake.events.Reason; null for an event.
CASE
  WHEN wrong IS NOT NULL THEN wrong
  WHEN event_time IS NULL THEN 'timestamp'
  WHEN event_time < TIMESTAMPADD(DAY, -$event_age_days, ingested_at) THEN 'timestamp_too_old'
  WHEN event_time > ingested_at + $event_ahead_interval THEN 'timestamp_in_future'
  WHEN latitude IS NULL OR latitude NOT BETWEEN $latitude_min AND $latitude_max THEN 'geo_location'
  WHEN longitude IS NULL OR longitude NOT BETWEEN $longitude_min AND $longitude_max THEN 'geo_location'
  WHEN NOT unpaid AND (purchase_amount IS NULL OR purchase_amount NOT BETWEEN $amount_min AND $amount_max)
    THEN 'purchase_amount'
END
