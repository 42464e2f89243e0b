-- The least a job can do with the topic: Flink's own JSON format, and no rule.
CREATE TEMPORARY TABLE bare_events (
  event_id STRING, user_id STRING, event_type STRING, url STRING, session_id STRING, device STRING, `timestamp` STRING,
  geo_location ROW<lat DOUBLE, lon DOUBLE>, purchase_amount DECIMAL($amount_digits),
  kafka_partition INT NOT NULL METADATA FROM 'partition' VIRTUAL,
  kafka_offset BIGINT NOT NULL METADATA FROM 'offset' VIRTUAL,
  ingested_at TIMESTAMP_LTZ(3) NOT NULL METADATA FROM 'timestamp' VIRTUAL
) WITH (
  'connector' = 'kafka',
  $kafka,
  'properties.group.id' = 'bench-bare',
  'topic' = '$topic',
  'scan.startup.mode' = 'earliest-offset',
  'format' = 'json'
)
