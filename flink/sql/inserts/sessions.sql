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
  DATA => TABLE valid_events PARTITION BY session_id,
  TIMECOL => DESCRIPTOR(window_time),
  GAP => $session_gap_interval
))
GROUP BY window_start, window_end, session_id
