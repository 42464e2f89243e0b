-- An event whose session has passed is a session of its own.
INSERT INTO $catalog.$database.sessions (
  session_id, user_id, device, started_at, ended_at, events, pages, carts, purchases, revenue
)
SELECT
  session_id, MIN(user_id) AS user_id, MIN(device) AS device,
  MIN(event_time) AS started_at, MAX(event_time) AS ended_at,
  COUNT(*) AS events,
  COUNT(*) FILTER (WHERE event_type = 'page_view') AS pages,
  COUNT(*) FILTER (WHERE event_type = 'add_to_cart') AS carts,
  COUNT(*) FILTER (WHERE event_type = 'purchase') AS purchases,
  COALESCE(SUM(purchase_amount), 0) AS revenue
FROM TABLE(SESSION(
  DATA => (SELECT * FROM valid_events WHERE NOT session_passed) PARTITION BY session_id,
  TIMECOL => DESCRIPTOR(window_time),
  GAP => $session_gap_interval
))
GROUP BY window_start, window_end, session_id
UNION ALL
SELECT
  session_id, user_id, device, event_time, event_time, 1,
  CASE event_type WHEN 'page_view' THEN 1 ELSE 0 END,
  CASE event_type WHEN 'add_to_cart' THEN 1 ELSE 0 END,
  CASE event_type WHEN 'purchase' THEN 1 ELSE 0 END,
  COALESCE(purchase_amount, 0)
FROM valid_events
WHERE session_passed
