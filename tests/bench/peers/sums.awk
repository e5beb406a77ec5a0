# Adds up lines of four key fields and numbers.
BEGIN { FS = "\t"; CONVFMT = "%.17g" }
{
    key = $1 FS $2 FS $3 FS $4
    last[key] = NF
    for (i = 5; i <= NF; i++) sums[key, i] += $i
}
END {
    for (key in last) {
        line = key
        for (i = 5; i <= last[key]; i++) line = line FS sums[key, i]
        print line
    }
}
