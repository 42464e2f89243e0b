-- Any other record as text, and why it cannot be read as such.
SELECT
  payload, kafka_partition, kafka_offset, ingested_at, payload_text,
  CASE
    WHEN payload IS NULL THEN 'tombstone'
    WHEN CHAR_LENGTH(payload_text) = 0 THEN 'empty'
    WHEN CHAR_LENGTH(payload_text) > $payload_max_bytes / 4
      AND CHAR_LENGTH(DECODE(payload, 'ISO-8859-1')) > $payload_max_bytes THEN 'too_large'
    WHEN POSITION(U&'\FFFD' IN payload_text) > 0 AND CAST(payload_text AS BYTES) <> payload THEN 'not_utf8'
  END AS unreadable
FROM (SELECT *, CAST(payload AS STRING) AS payload_text FROM texts WHERE plain IS NULL)
