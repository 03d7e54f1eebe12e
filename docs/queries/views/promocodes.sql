-- One row for each code in each export, of every format. Its times are text as Altcraft gave them, null where they are not set.
SELECT
  code,
  attached,
  activated,
  expire_date,
  expired,
  CASE
    WHEN activated IS NOT NULL THEN CAST('activated' AS varchar)
    WHEN expired IS NOT NULL THEN CAST('expired' AS varchar)
    WHEN attached IS NOT NULL THEN CAST('attached' AS varchar)
    ELSE CAST('free' AS varchar)
  END AS state,
  regexp_extract(path, '/([^/.]+)\.[^/]*$', 1) AS export_id,
  output_format,
  loyalty_id,
  dt
FROM (
  SELECT
    code,
    nullif(nullif(attached, ''), 'false') AS attached,
    nullif(nullif(activated, ''), 'false') AS activated,
    nullif(nullif(expire_date, ''), 'false') AS expire_date,
    nullif(nullif(expired, ''), 'false') AS expired,
    "$path" AS path,
    CAST('jsonl' AS varchar) AS output_format,
    loyalty_id,
    dt
  FROM promocodes_jsonl
  UNION ALL
  SELECT
    CASE WHEN substr(code, 1, 1) = '''' THEN substr(code, 2) ELSE code END AS code,
    nullif(nullif(attached, ''), 'false') AS attached,
    nullif(nullif(activated, ''), 'false') AS activated,
    nullif(nullif(expire_date, ''), 'false') AS expire_date,
    nullif(nullif(expired, ''), 'false') AS expired,
    "$path" AS path,
    CAST('csv' AS varchar) AS output_format,
    loyalty_id,
    dt
  FROM promocodes_csv
  UNION ALL
  SELECT
    code,
    coalesce(
      replace(CAST(CAST(attached AS timestamp(3)) AS varchar), ' ', 'T') || 'Z',
      nullif(json_extract_scalar(other, '$.attached'), 'false')
    ) AS attached,
    coalesce(
      replace(CAST(CAST(activated AS timestamp(3)) AS varchar), ' ', 'T') || 'Z',
      nullif(json_extract_scalar(other, '$.activated'), 'false')
    ) AS activated,
    coalesce(
      replace(CAST(CAST(expire_date AS timestamp(3)) AS varchar), ' ', 'T') || 'Z',
      nullif(json_extract_scalar(other, '$.expire_date'), 'false')
    ) AS expire_date,
    coalesce(
      replace(CAST(CAST(expired AS timestamp(3)) AS varchar), ' ', 'T') || 'Z',
      nullif(json_extract_scalar(other, '$.expired'), 'false')
    ) AS expired,
    "$path" AS path,
    CAST('parquet' AS varchar) AS output_format,
    loyalty_id,
    dt
  FROM promocodes_parquet
) AS every_format
