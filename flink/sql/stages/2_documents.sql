-- The text parsed. An event written plainly (fields in the contract's order, no escapes) is cut at its quotes, which
-- costs a quarter of a parse; any other is parsed once, within brackets, since the parser overlooks what follows a value.
SELECT
  payload, kafka_partition, kafka_offset, ingested_at, payload_text, unreadable, plain,
  CASE WHEN plain AND unreadable IS NULL THEN SPLIT(payload_text, '"') END AS parts,
  TRY_PARSE_JSON(CASE WHEN NOT plain AND unreadable IS NULL THEN '[' || payload_text || ']' END) AS document
FROM texts
