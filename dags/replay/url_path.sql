-- Whole addresses where the contract wants the path: https://example.org/cart?x=1 is /cart?x=1.
SELECT
  kafka_partition, kafka_offset, event_id, user_id, event_type,
  CASE
    WHEN regexp_like(url, '^https?://[^/?#]+') THEN regexp_replace(
      regexp_replace(url, '^https?://[^/?#]+'), '^(?!/)', '/'
    )
    ELSE url
  END AS url,
  session_id, device, moment, latitude, longitude, purchase_amount
FROM fields
