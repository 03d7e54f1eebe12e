-- Where the codes of each program stand, by its newest export of the last week.
WITH newest AS (
  SELECT loyalty_id, max("$path") AS path
  FROM promocodes
  WHERE dt >= CAST(CAST(current_date - INTERVAL '7' DAY AS date) AS varchar)
  GROUP BY loyalty_id
)
SELECT
  p.loyalty_id,
  p.dt,
  count(*) AS codes,
  count(*) FILTER (WHERE nullif(p.activated, '') IS NOT NULL) AS used,
  count(*) FILTER (WHERE nullif(p.activated, '') IS NULL AND nullif(p.expired, '') IS NOT NULL) AS expired,
  count(*) FILTER (WHERE nullif(p.activated, '') IS NULL AND nullif(p.expired, '') IS NULL
                     AND nullif(p.attached, '') IS NOT NULL) AS attached,
  count(*) FILTER (WHERE nullif(p.activated, '') IS NULL AND nullif(p.expired, '') IS NULL
                     AND nullif(p.attached, '') IS NULL) AS free
FROM promocodes p
JOIN newest ON p."$path" = newest.path AND p.loyalty_id = newest.loyalty_id
WHERE p.dt >= CAST(CAST(current_date - INTERVAL '7' DAY AS date) AS varchar)
GROUP BY p.loyalty_id, p.dt
ORDER BY p.loyalty_id
