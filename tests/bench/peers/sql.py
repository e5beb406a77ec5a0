"""Questions over stored lines in SQL: `sql.py duckdb|chdb os-count|histogram|histograms STORED [NAME]`."""

import sys

DUCKDB_LINES = """read_csv('{path}', delim='\t', quote='', escape='', header=false, auto_detect=false,
    max_line_size=10000000, columns={{'id': 'VARCHAR', 'ping': 'VARCHAR'}})"""
DUCKDB_KEY = "ping->>'$.info.appUpdateChannel' AS channel, ping->>'$.info.appVersion' AS version"
DUCKDB_SUMS = """
    SELECT channel, version, name, n - 5, list(total ORDER BY place) FROM (
        SELECT channel, version, name, n, place, sum(CASE WHEN x = -1 THEN 0 ELSE x END) AS total FROM (
            SELECT channel, version, name, len(a) AS n, unnest(a) AS x, generate_subscripts(a, 1) AS place FROM ({arrays})
        ) GROUP BY ALL
    ) GROUP BY ALL"""
DUCKDB = {
    "os-count": "SELECT ping->>'$.info.OS', count(*) FROM {lines} GROUP BY ALL",
    "histogram": DUCKDB_SUMS.replace(
        "{arrays}",
        f"SELECT {DUCKDB_KEY}, '{{name}}' AS name, (ping->'$.histograms.{{name}}')::DOUBLE[] AS a FROM {{lines}}",
    ),
    "histograms": DUCKDB_SUMS.replace(
        "{arrays}",
        f"""SELECT channel, version, unnest(names) AS name, unnest(texts)::DOUBLE[] AS a FROM (
            SELECT {DUCKDB_KEY}, json_keys(ping, '$.histograms') AS names, ping->'$.histograms.*' AS texts
            FROM {{lines}})""",
    ),
}

CHDB_LINES = "file('{path}', 'TSVRaw', 'id String, ping String')"
CHDB_SUMS = """
    SELECT channel, version, name, length(a) - 5 AS n, sumForEach(arrayMap(x -> if(x = -1, 0, x), a))
    FROM ({arrays}) GROUP BY channel, version, name, n"""
CHDB_KEY = "JSONExtractString(ping, 'info', 'appUpdateChannel') AS channel, " + (
    "JSONExtractString(ping, 'info', 'appVersion') AS version"
)
CHDB = {
    "os-count": "SELECT JSONExtractString(ping, 'info', 'OS') AS os, count() FROM {lines} GROUP BY os",
    "histogram": CHDB_SUMS.replace(
        "{arrays}",
        f"""SELECT {CHDB_KEY}, '{{name}}' AS name, JSONExtract(ping, 'histograms', name, 'Array(Float64)') AS a
            FROM {{lines}} WHERE notEmpty(a)""",
    ),
    "histograms": CHDB_SUMS.replace(
        "{arrays}",
        f"""SELECT channel, version, entry.1 AS name, entry.2 AS a FROM (
            SELECT {CHDB_KEY}, arrayJoin(JSONExtractKeysAndValues(ping, 'histograms', 'Array(Float64)')) AS entry
            FROM {{lines}})""",
    ),
}


def main(program, question, path, name=""):
    if program == "duckdb":
        import duckdb

        for row in duckdb.sql(DUCKDB[question].format(lines=DUCKDB_LINES.format(path=path), name=name)).fetchall():
            print(*row, sep="\t")
    else:
        import chdb

        print(chdb.query(CHDB[question].format(lines=CHDB_LINES.format(path=path), name=name), "TSV"), end="")


if __name__ == "__main__":
    main(*sys.argv[1:])
