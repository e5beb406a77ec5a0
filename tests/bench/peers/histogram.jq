# One histogram of each stored ping as a line: channel, version, name, number of buckets, the elements of its array.
.info as $info | .histograms[$name] | select(.)
| [$info.appUpdateChannel, $info.appVersion, $name, length - 5] + map(if . == -1 then 0 else . end) | @tsv
