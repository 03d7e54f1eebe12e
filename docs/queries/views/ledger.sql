-- Which order has redeemed, claimed or released which code, by the newest whole export of the table of redemptions.
WITH files AS (
  SELECT item, datafiles3key, regexp_extract("$path", '/AWSDynamoDB/([^/]+)/', 1) AS table_export
  FROM ledger_files
), newest AS (
  -- DynamoDB lists an export's files once all of them are there.
  SELECT max(table_export) AS table_export FROM files WHERE datafiles3key IS NOT NULL
), items AS (
  SELECT
    CAST(f.item.loyalty_id.n AS bigint) AS loyalty_id,
    f.item.code.s AS code,
    f.item.order_id.s AS order_id,
    f.item.state.s AS state,
    f.item.last_outcome.s AS last_outcome,
    f.item.claimed_at.s AS claimed_at,
    f.item.claimed_until.s AS claimed_until,
    f.item.redeemed_at.s AS redeemed_at,
    CAST(f.item.expiration.n AS bigint) AS expiration,
    -- An export's id begins with its time in milliseconds.
    CAST(substr(f.table_export, 1, 14) AS bigint) AS taken_at
  FROM files f
  JOIN newest ON newest.table_export = f.table_export
  -- An item without a state holds a note for an event, and no order.
  WHERE f.item.code.s IS NOT NULL AND f.item.state.s IS NOT NULL
)
SELECT
  loyalty_id,
  code,
  order_id,
  state,
  last_outcome,
  CAST(from_iso8601_timestamp(claimed_at) AT TIME ZONE 'UTC' AS timestamp(3)) AS claimed_at,
  CAST(from_iso8601_timestamp(claimed_until) AT TIME ZONE 'UTC' AS timestamp(3)) AS claimed_until,
  CAST(from_iso8601_timestamp(redeemed_at) AT TIME ZONE 'UTC' AS timestamp(3)) AS redeemed_at,
  CAST(from_unixtime(taken_at / 1000) AT TIME ZONE 'UTC' AS timestamp(3)) AS ledger_at
FROM items
-- DynamoDB removes late what has expired.
WHERE expiration IS NULL OR expiration > taken_at / 1000
