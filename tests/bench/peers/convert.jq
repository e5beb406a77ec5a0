# What tel-convert does to good classic pings; $bounds[0] is {name: {number of buckets: [lower bound of each]}}.
def compact($name):
  ($bounds[0][$name] // $bounds[0][$name | ltrimstr("STARTUP_")])["\(.bucket_count)"] as $keys
  | .values as $values
  | [($keys[] | $values[.] // 0),
     (.sum, .log_sum, .log_sum_squares, .sum_squares_lo, .sum_squares_hi | if . == null then -1 else . end)];
if has("ping") then
  .ping.ver = 2 | .ping.histograms |= with_entries(.key as $name | .value |= compact($name))
else . end
