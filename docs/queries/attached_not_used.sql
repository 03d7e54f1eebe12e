-- The codes that were given to a customer, can still be used and were not, the longest waiting first.
SELECT loyalty_id, code, attached, expire_date
FROM promocodes_latest
WHERE state = 'attached'
ORDER BY try(from_iso8601_timestamp(attached)), code
