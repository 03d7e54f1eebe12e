-- Where the codes of each program stand, by its newest good export.
SELECT
  loyalty_id,
  dt,
  count(*) AS codes,
  count(*) FILTER (WHERE state = 'activated') AS used,
  count(*) FILTER (WHERE state = 'expired') AS expired,
  count(*) FILTER (WHERE state = 'attached') AS attached,
  count(*) FILTER (WHERE state = 'free') AS free
FROM promocodes_latest
GROUP BY loyalty_id, dt
ORDER BY loyalty_id
