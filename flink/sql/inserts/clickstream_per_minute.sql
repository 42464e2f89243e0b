-- A late event has the minute it came in as its window and the minute it happened in as its key. One whose window has
-- passed is a row of its own.
INSERT INTO $catalog.$database.clickstream_per_minute (
  `minute`, event_type, device, events, users, revenue, late
)
SELECT
  CAST(happened_in AS TIMESTAMP_LTZ(6)) AS `minute`, event_type, device,
  COUNT(*) AS events,
  COUNT(DISTINCT user_id) AS users,
  COALESCE(SUM(purchase_amount), 0) AS revenue,
  late
FROM TABLE(TUMBLE(
  DATA => (SELECT * FROM valid_events WHERE NOT minute_passed),
  TIMECOL => DESCRIPTOR(window_time),
  SIZE => INTERVAL '1' MINUTE
))
GROUP BY window_start, window_end, happened_in, event_type, device, late
UNION ALL
SELECT
  CAST(happened_in AS TIMESTAMP_LTZ(6)), event_type, device, 1, 1, COALESCE(purchase_amount, 0), TRUE
FROM valid_events
WHERE minute_passed
