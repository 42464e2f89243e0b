-- Its fields as JSON writes them: strings within quotes, numbers bare, null where there is none.
SELECT
  payload, kafka_partition, kafka_offset, ingested_at, malformed,
  CASE WHEN parts IS NOT NULL THEN parts[4] ELSE BTRIM(JSON_STRING(event['event_id']), '"') END AS event_id,
  CASE WHEN parts IS NOT NULL THEN parts[8] ELSE BTRIM(JSON_STRING(event['user_id']), '"') END AS user_id,
  CASE WHEN parts IS NOT NULL THEN parts[12] ELSE BTRIM(JSON_STRING(event['event_type']), '"') END AS event_type,
  CASE
    WHEN parts IS NOT NULL THEN parts[16]
    WHEN JSON_STRING(event['url']) LIKE '"%' THEN JSON_UNQUOTE(JSON_STRING(event['url']))
  END AS url,
  CASE WHEN parts IS NOT NULL THEN parts[20] ELSE BTRIM(JSON_STRING(event['session_id']), '"') END AS session_id,
  CASE WHEN parts IS NOT NULL THEN parts[24] ELSE BTRIM(JSON_STRING(event['device']), '"') END AS device,
  CASE WHEN parts IS NOT NULL THEN parts[28] ELSE BTRIM(JSON_STRING(event['timestamp']), '"') END AS moment,
  CASE
    WHEN parts IS NOT NULL THEN BTRIM(parts[33], U&': ,\0009\000A\000D')
    WHEN JSON_STRING(event['geo_location']) LIKE '{%' THEN JSON_STRING(event['geo_location']['lat'])
  END AS latitude,
  CASE
    WHEN parts IS NOT NULL THEN BTRIM(parts[35], U&': ,}\0009\000A\000D')
    WHEN JSON_STRING(event['geo_location']) LIKE '{%' THEN JSON_STRING(event['geo_location']['lon'])
  END AS longitude,
  CASE
    WHEN parts IS NOT NULL THEN BTRIM(parts[37], U&': }\0009\000A\000D')
    ELSE JSON_STRING(event['purchase_amount'])
  END AS purchase_amount
FROM objects
