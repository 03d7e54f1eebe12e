-- The codes that were not used and expire within seven days, the soonest first.
SELECT loyalty_id, code, attached, expire_date
FROM promocodes_latest
WHERE state IN ('free', 'attached')
  AND try(from_iso8601_timestamp(expire_date)) BETWEEN current_timestamp AND current_timestamp + INTERVAL '7' DAY
ORDER BY try(from_iso8601_timestamp(expire_date)), code
