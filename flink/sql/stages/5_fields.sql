-- Its fields as JSON writes them: strings within quotes, numbers bare, null where there is none.
SELECT
  payload, kafka_partition, kafka_offset, ingested_at, malformed,
  BTRIM(JSON_STRING(event['event_id']), '"') AS event_id,
  BTRIM(JSON_STRING(event['user_id']), '"') AS user_id,
  BTRIM(JSON_STRING(event['event_type']), '"') AS event_type,
  CASE WHEN JSON_STRING(event['url']) LIKE '"%' THEN JSON_UNQUOTE(JSON_STRING(event['url'])) END AS url,
  BTRIM(JSON_STRING(event['session_id']), '"') AS session_id,
  BTRIM(JSON_STRING(event['device']), '"') AS device,
  BTRIM(JSON_STRING(event['timestamp']), '"') AS moment,
  CASE
    WHEN JSON_STRING(event['geo_location']) LIKE '{%' THEN JSON_STRING(event['geo_location']['lat'])
  END AS latitude,
  CASE
    WHEN JSON_STRING(event['geo_location']) LIKE '{%' THEN JSON_STRING(event['geo_location']['lon'])
  END AS longitude,
  NULLIF(JSON_STRING(event['purchase_amount']), 'null') AS purchase_amount
FROM objects
