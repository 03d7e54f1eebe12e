-- What the ledger says of each code beside what Altcraft says, in four kinds; what happened between the two exports is left out.
WITH altcraft AS (
  SELECT loyalty_id, code, max(activated) AS activated FROM promocodes_latest GROUP BY loyalty_id, code
), programs AS (
  SELECT
    loyalty_id,
    export_id,
    CAST(from_iso8601_timestamp(started_at) AT TIME ZONE 'UTC' AS timestamp(3)) AS exported_at
  FROM latest_exports
), moment AS (
  SELECT max(ledger_at) AS ledger_at FROM ledger
), compared AS (
  SELECT
    coalesce(a.loyalty_id, l.loyalty_id) AS loyalty_id,
    coalesce(a.code, l.code) AS code,
    CASE
      WHEN l.state = 'redeemed' AND a.activated IS NOT NULL THEN CAST('agreed' AS varchar)
      WHEN l.state = 'redeemed' THEN CAST('activated only by us' AS varchar)
      WHEN a.activated IS NOT NULL THEN CAST('activated only in Altcraft' AS varchar)
      WHEN l.state = 'claimed' THEN CAST('held by an order but not activated' AS varchar)
    END AS kind,
    l.order_id,
    l.state AS ledger_state,
    l.last_outcome,
    l.claimed_at,
    l.claimed_until,
    l.redeemed_at,
    a.activated AS altcraft_activated
  FROM altcraft a
  FULL OUTER JOIN ledger l ON l.loyalty_id = a.loyalty_id AND l.code = a.code
)
SELECT
  c.loyalty_id,
  c.code,
  c.kind,
  c.order_id,
  c.ledger_state,
  c.last_outcome,
  c.claimed_at,
  c.claimed_until,
  c.redeemed_at,
  c.altcraft_activated,
  p.export_id,
  p.exported_at,
  m.ledger_at
FROM compared c
JOIN programs p ON p.loyalty_id = c.loyalty_id
JOIN moment m ON m.ledger_at IS NOT NULL
WHERE c.kind = 'agreed'
  OR (c.kind = 'activated only by us' AND c.redeemed_at < p.exported_at)
  OR (c.kind = 'held by an order but not activated' AND c.claimed_at < p.exported_at)
  OR (
    c.kind = 'activated only in Altcraft'
    AND coalesce(
      CAST(try(from_iso8601_timestamp(c.altcraft_activated)) AT TIME ZONE 'UTC' AS timestamp(3)) < m.ledger_at, true
    )
  )
