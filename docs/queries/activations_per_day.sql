-- How many codes of each program were used on each day (UTC), by its newest good export.
SELECT loyalty_id, CAST(try(from_iso8601_timestamp(activated)) AT TIME ZONE 'UTC' AS date) AS used_on, count(*) AS codes
FROM promocodes_latest
WHERE state = 'activated'
GROUP BY 1, 2
ORDER BY 1, 2
