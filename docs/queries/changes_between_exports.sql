-- What changed between the two newest exports of each program in the last week, code by code.
WITH exports AS (
  SELECT loyalty_id, path, row_number() OVER (PARTITION BY loyalty_id ORDER BY path DESC) AS age
  FROM (
    SELECT DISTINCT loyalty_id, "$path" AS path
    FROM promocodes
    WHERE dt >= CAST(CAST(current_date - INTERVAL '7' DAY AS date) AS varchar)
  ) AS files
), pairs AS (
  SELECT newer.loyalty_id, newer.path AS newer_path, older.path AS older_path
  FROM exports newer
  JOIN exports older ON older.loyalty_id = newer.loyalty_id AND older.age = 2
  WHERE newer.age = 1
), after AS (
  SELECT p.loyalty_id, p.code, nullif(p.attached, '') AS attached, nullif(p.activated, '') AS activated,
         nullif(p.expired, '') AS expired
  FROM promocodes p
  JOIN pairs ON p."$path" = pairs.newer_path AND p.loyalty_id = pairs.loyalty_id
  WHERE p.dt >= CAST(CAST(current_date - INTERVAL '7' DAY AS date) AS varchar)
), before AS (
  SELECT p.loyalty_id, p.code, nullif(p.attached, '') AS attached, nullif(p.activated, '') AS activated,
         nullif(p.expired, '') AS expired
  FROM promocodes p
  JOIN pairs ON p."$path" = pairs.older_path AND p.loyalty_id = pairs.loyalty_id
  WHERE p.dt >= CAST(CAST(current_date - INTERVAL '7' DAY AS date) AS varchar)
), compared AS (
  SELECT
    coalesce(after.loyalty_id, before.loyalty_id) AS loyalty_id,
    coalesce(after.code, before.code) AS code,
    CASE
      WHEN before.code IS NULL THEN 'added'
      WHEN after.code IS NULL THEN 'removed'
      WHEN before.activated IS NULL AND after.activated IS NOT NULL THEN 'used'
      WHEN before.activated IS NOT NULL AND after.activated IS NULL THEN 'no longer used'
      WHEN before.expired IS NULL AND after.expired IS NOT NULL THEN 'expired'
      WHEN before.attached IS NULL AND after.attached IS NOT NULL THEN 'attached'
      WHEN before.attached IS NOT NULL AND after.attached IS NULL THEN 'detached'
    END AS change
  FROM after
  FULL OUTER JOIN before ON after.loyalty_id = before.loyalty_id AND after.code = before.code
)
SELECT loyalty_id, code, change
FROM compared
WHERE change IS NOT NULL
ORDER BY loyalty_id, change, code
