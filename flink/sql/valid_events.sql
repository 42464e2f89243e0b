-- The valid events as windows take them. A window that the watermark has passed drops what still comes for it, as when
-- a partition was silent for others and then gives what it has: such an event is told beforehand.
CREATE TEMPORARY VIEW valid_events AS
SELECT
  *,
  FLOOR(CAST(event_time AS TIMESTAMP_LTZ(3)) TO MINUTE) AS happened_in,
  COALESCE(window_time < passed AND FLOOR(window_time TO MINUTE) < FLOOR(passed TO MINUTE), FALSE) AS minute_passed,
  COALESCE(window_time + $session_gap_interval <= passed, FALSE) AS session_passed
FROM (
  SELECT
    window_time, session_id, user_id, device, event_type, event_time, purchase_amount, late,
    CURRENT_WATERMARK(window_time) + INTERVAL '0.001' SECOND AS passed
  FROM outcomes
  WHERE reason IS NULL
)
