# Every histogram of each stored ping as a line: channel, version, name, number of buckets, the elements of its array.
.info as $info | .histograms | to_entries[]
| [$info.appUpdateChannel, $info.appVersion, .key, (.value | length - 5)]
  + (.value | map(if . == -1 then 0 else . end)) | @tsv
