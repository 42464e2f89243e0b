-- The valid events as windows take them.
CREATE TEMPORARY VIEW valid_events AS
SELECT
  window_time, session_id, user_id, device, event_type, event_time, purchase_amount, late,
  FLOOR(CAST(event_time AS TIMESTAMP_LTZ(3)) TO MINUTE) AS happened_in
FROM outcomes
WHERE reason IS NULL
