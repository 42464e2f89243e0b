-- The topic, read once: every record as it is. Its watermark follows Kafka's own clock, partition by partition, so that
-- no event's timestamp can move it and a partition read behind the others loses nothing.
CREATE TEMPORARY TABLE records (
  payload BYTES,
  kafka_partition INT NOT NULL METADATA FROM 'partition' VIRTUAL,
  kafka_offset BIGINT NOT NULL METADATA FROM 'offset' VIRTUAL,
  ingested_at TIMESTAMP_LTZ(3) NOT NULL METADATA FROM 'timestamp' VIRTUAL,
  WATERMARK FOR ingested_at AS ingested_at - $late_interval - INTERVAL '1' SECOND
) WITH (
  'connector' = 'kafka',
  $kafka,
  'properties.group.id' = '$group',
  'properties.isolation.level' = 'read_committed',
  'topic' = '$topic',
  'scan.startup.mode' = 'earliest-offset',
  'scan.watermark.idle-timeout' = '$idle_seconds s',
  'format' = 'raw'
)
