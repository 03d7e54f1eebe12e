-- How many codes the ledger and Altcraft agree on, and how many not, in four kinds; the view reconciliation names each.
SELECT loyalty_id, kind, count(*) AS codes, min(ledger_at) AS ledger_at, min(exported_at) AS exported_at
FROM reconciliation
GROUP BY loyalty_id, kind
ORDER BY loyalty_id, kind
