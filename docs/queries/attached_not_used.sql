-- The codes that were given to a customer, can still be used and were not, the longest waiting first.
WITH newest AS (
  SELECT loyalty_id, max("$path") AS path
  FROM promocodes
  WHERE dt >= CAST(CAST(current_date - INTERVAL '7' DAY AS date) AS varchar)
  GROUP BY loyalty_id
)
SELECT p.loyalty_id, p.code, p.attached, nullif(p.expire_date, '') AS expire_date
FROM promocodes p
JOIN newest ON p."$path" = newest.path AND p.loyalty_id = newest.loyalty_id
WHERE p.dt >= CAST(CAST(current_date - INTERVAL '7' DAY AS date) AS varchar)
  AND nullif(p.attached, '') IS NOT NULL
  AND nullif(p.activated, '') IS NULL
  AND nullif(p.expired, '') IS NULL
ORDER BY from_iso8601_timestamp(p.attached), p.code
