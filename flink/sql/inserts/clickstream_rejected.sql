INSERT INTO $catalog.$database.clickstream_rejected (
  payload, reason, kafka_partition, kafka_offset, ingested_at
)
SELECT payload, reason, kafka_partition, kafka_offset, ingested_at
FROM outcomes
WHERE reason IS NOT NULL
