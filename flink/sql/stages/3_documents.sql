-- The text parsed, once: within brackets, since the parser overlooks what follows a value.
SELECT
  *, TRY_PARSE_JSON(CASE WHEN unreadable IS NULL THEN '[' || payload_text || ']' END) AS document
FROM unparsed
