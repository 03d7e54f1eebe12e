-- How many codes of each program were used on each day (UTC), by its newest export of the last week.
WITH newest AS (
  SELECT loyalty_id, max("$path") AS path
  FROM promocodes
  WHERE dt >= CAST(CAST(current_date - INTERVAL '7' DAY AS date) AS varchar)
  GROUP BY loyalty_id
)
SELECT
  p.loyalty_id,
  CAST(from_iso8601_timestamp(nullif(p.activated, '')) AS date) AS used_on,
  count(*) AS codes
FROM promocodes p
JOIN newest ON p."$path" = newest.path AND p.loyalty_id = newest.loyalty_id
WHERE p.dt >= CAST(CAST(current_date - INTERVAL '7' DAY AS date) AS varchar) AND nullif(p.activated, '') IS NOT NULL
GROUP BY 1, 2
ORDER BY 1, 2
