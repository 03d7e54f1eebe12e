-- Each state of each code over the good exports: since which export, and until which (null: still so, by the newest one).
WITH good AS (
  SELECT
    loyalty_id,
    export_id,
    regexp_extract(key, '/dt=([0-9-]+)/', 1) AS dt,
    CAST(from_iso8601_timestamp(started_at) AT TIME ZONE 'UTC' AS timestamp(3)) AS exported_at
  FROM exports
  WHERE status = 'succeeded' AND (NOT coalesce(suspect, false) OR coalesce(accept_fewer, false))
), numbered AS (
  SELECT
    loyalty_id,
    export_id,
    dt,
    exported_at,
    row_number() OVER (PARTITION BY loyalty_id ORDER BY exported_at, export_id) AS place,
    lead(exported_at) OVER (PARTITION BY loyalty_id ORDER BY exported_at, export_id) AS next_at
  FROM good
), seen AS (
  -- A code that one export holds twice counts once: the first of activated, attached, expired, free.
  SELECT p.loyalty_id, p.code, min(p.state) AS state, n.place, n.exported_at, n.next_at
  FROM promocodes p
  JOIN numbered n ON n.loyalty_id = p.loyalty_id AND n.export_id = p.export_id AND n.dt = p.dt
  GROUP BY p.loyalty_id, p.code, n.place, n.exported_at, n.next_at
), marked AS (
  SELECT
    loyalty_id, code, state, place, exported_at, next_at,
    CASE
      WHEN lag(place) OVER (PARTITION BY loyalty_id, code ORDER BY place) = place - 1
        AND lag(state) OVER (PARTITION BY loyalty_id, code ORDER BY place) = state
      THEN 0 ELSE 1
    END AS changed
  FROM seen
), spans AS (
  SELECT
    loyalty_id, code, state, exported_at, next_at,
    sum(changed) OVER (PARTITION BY loyalty_id, code ORDER BY place) AS span
  FROM marked
)
SELECT
  loyalty_id,
  code,
  state,
  min(exported_at) AS valid_from,
  -- The newest export has no next one, and nothing is known yet of what comes after it.
  CASE WHEN count(next_at) = count(*) THEN max(next_at) END AS valid_to,
  count(*) AS exports
FROM spans
GROUP BY loyalty_id, code, state, span
