-- The one JSON object that a record must be.
SELECT
  payload, kafka_partition, kafka_offset, ingested_at, malformed,
  CASE WHEN malformed IS NULL THEN document[1] END AS event
FROM (
  SELECT *,
    CASE
      WHEN unreadable IS NOT NULL THEN unreadable
      WHEN document IS NULL OR document[1] IS NULL OR document[2] IS NOT NULL THEN 'not_json'
      WHEN POSITION(']' IN payload_text) > 0 AND TRY_PARSE_JSON('{"":' || payload_text || '}') IS NULL THEN 'not_json'
      WHEN NOT REGEXP(payload_text, '^\s*\{') THEN 'not_an_object'
    END AS malformed
  FROM documents
)
