-- No correction: for records that a setting or an older version rejected and that keep the rules of today.
SELECT * FROM fields
