-- The codes of each program by the export that its `latest` points at: one export of each program.
SELECT
  p.code,
  p.attached,
  p.activated,
  p.expire_date,
  p.expired,
  p.state,
  p.export_id,
  CAST(from_iso8601_timestamp(l.started_at) AT TIME ZONE 'UTC' AS timestamp(3)) AS exported_at,
  p.output_format,
  p.loyalty_id,
  p.dt
FROM promocodes p
JOIN latest_exports l
  ON l.loyalty_id = p.loyalty_id
  AND l.export_id = p.export_id
  AND regexp_extract(l.key, '/dt=([0-9-]+)/', 1) = p.dt
