-- Names that other trackers give the four event types, in any case and with spaces or hyphens for underscores.
SELECT
  kafka_partition, kafka_offset, event_id, user_id,
  CASE
    WHEN name IN ('page_view', 'pageview', 'view', 'page', 'screen_view') THEN 'page_view'
    WHEN name IN ('add_to_cart', 'addtocart', 'cart_add', 'product_added') THEN 'add_to_cart'
    WHEN name IN ('purchase', 'purchased', 'order', 'order_completed', 'transaction') THEN 'purchase'
    WHEN name IN ('logout', 'log_out', 'logged_out', 'sign_out', 'signout') THEN 'logout'
    ELSE event_type
  END AS event_type,
  url, session_id, device, moment, latitude, longitude, purchase_amount
FROM (SELECT *, regexp_replace(lower(trim(event_type)), '[ -]+', '_') AS name FROM fields)
