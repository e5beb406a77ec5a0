# Questions over stored lines without a parser, by what the text looks like: -v question=os-count|histogram|histograms,
# for histogram -v name=NAME.
BEGIN { FS = "\t"; CONVFMT = "%.17g" }

# The string that is the value of a member, which comes only once in a line.
function member(key,    start, rest) {
    start = index($0, "\"" key "\":\"")
    rest = substr($0, start + length(key) + 4, 200)
    return substr(rest, 1, index(rest, "\"") - 1)
}

# Adds the elements of an array, given as its text without brackets.
function add(key, text,    parts, n, i) {
    n = split(text, parts, ",")
    key = key FS n - 5
    last[key] = n
    for (i = 1; i <= n; i++) if (parts[i] != "-1") sums[key, i] += parts[i]
}

function one(name,    start, rest) {
    start = index($0, "\"" name "\":[")
    if (start) {
        rest = substr($0, start + length(name) + 4)
        add(member("appUpdateChannel") FS member("appVersion") FS name, substr(rest, 1, index(rest, "]") - 1))
    }
}

function all(    rest, parts, n, i, at, place) {
    place = member("appUpdateChannel") FS member("appVersion")
    rest = substr($0, index($0, "\"histograms\":{") + 14)
    n = split(substr(rest, 1, index(rest, "}") - 2), parts, /\],/)
    for (i = 1; i <= n; i++) {
        at = index(parts[i], "\":[")
        add(place FS substr(parts[i], 2, at - 2), substr(parts[i], at + 3))
    }
}

question == "os-count" { counts[member("OS")]++ }
question == "histogram" { one(name) }
question == "histograms" { all() }

END {
    for (os in counts) print os FS counts[os]
    for (key in last) {
        line = key
        for (i = 1; i <= last[key]; i++) line = line FS sums[key, i] + 0
        print line
    }
}
