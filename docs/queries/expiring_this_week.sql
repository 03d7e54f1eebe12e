-- The codes that were not used and expire within seven days, the soonest first.
WITH newest AS (
  SELECT loyalty_id, max("$path") AS path
  FROM promocodes
  WHERE dt >= CAST(CAST(current_date - INTERVAL '7' DAY AS date) AS varchar)
  GROUP BY loyalty_id
)
SELECT p.loyalty_id, p.code, nullif(p.attached, '') AS attached, p.expire_date
FROM promocodes p
JOIN newest ON p."$path" = newest.path AND p.loyalty_id = newest.loyalty_id
WHERE p.dt >= CAST(CAST(current_date - INTERVAL '7' DAY AS date) AS varchar)
  AND nullif(p.activated, '') IS NULL
  AND from_iso8601_timestamp(nullif(p.expire_date, ''))
      BETWEEN current_timestamp AND current_timestamp + INTERVAL '7' DAY
ORDER BY from_iso8601_timestamp(p.expire_date), p.code
