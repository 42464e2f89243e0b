INSERT INTO $catalog.$database.clickstream (
  event_id, user_id, event_type, url, session_id, device, event_time, latitude, longitude, purchase_amount,
  kafka_partition, kafka_offset, ingested_at
)
SELECT
  event_id, user_id, event_type, url, session_id, device, event_time, latitude, longitude, purchase_amount,
  kafka_partition, kafka_offset, ingested_at
FROM outcomes
WHERE reason IS NULL
