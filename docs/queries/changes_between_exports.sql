-- What changed between the two newest good exports of each program, code by code.
WITH newest AS (
  SELECT loyalty_id, exported_at, row_number() OVER (PARTITION BY loyalty_id ORDER BY exported_at DESC) AS age
  FROM (
    SELECT loyalty_id, CAST(from_iso8601_timestamp(started_at) AT TIME ZONE 'UTC' AS timestamp(3)) AS exported_at
    FROM exports
    WHERE status = 'succeeded' AND (NOT coalesce(suspect, false) OR coalesce(accept_fewer, false))
  ) AS good
), pairs AS (
  SELECT newer.loyalty_id, newer.exported_at AS newer_at, older.exported_at AS older_at
  FROM newest newer
  JOIN newest older ON older.loyalty_id = newer.loyalty_id AND older.age = 2
  WHERE newer.age = 1
), after AS (
  SELECT h.loyalty_id, h.code, h.state
  FROM promocodes_history h
  JOIN pairs ON pairs.loyalty_id = h.loyalty_id
  WHERE h.valid_from <= pairs.newer_at AND h.valid_to IS NULL
), before AS (
  SELECT h.loyalty_id, h.code, h.state
  FROM promocodes_history h
  JOIN pairs ON pairs.loyalty_id = h.loyalty_id
  WHERE h.valid_from <= pairs.older_at AND (h.valid_to > pairs.older_at OR h.valid_to IS NULL)
)
SELECT
  coalesce(after.loyalty_id, before.loyalty_id) AS loyalty_id,
  coalesce(after.code, before.code) AS code,
  coalesce(before.state, 'none') AS was,
  coalesce(after.state, 'none') AS became
FROM after
FULL OUTER JOIN before ON after.loyalty_id = before.loyalty_id AND after.code = before.code
WHERE coalesce(after.state, 'none') <> coalesce(before.state, 'none')
ORDER BY 1, 2
