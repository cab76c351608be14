#!/bin/sh
# Exit with 0 if a site can be read and is current, else say why not: healthy.sh URL [HOURS]
set -eu
url=$1 hours=${2:-24}
site=$(staticstore info --json "$url") || exit  # its exit code, and what it has said
printf '%s\n' "$site" | jq --raw-output '
    (.warnings[] | "warning: " + .), (select(.stale) | "stale: " + (.last_error // "no copy of it is current"))' | grep . && exit 1
published=$(curl --fail --silent --show-error "${url%/}/index.head.json" | jq --raw-output .published)
age=$(($(date +%s) - $(date --date "$published" +%s)))
[ "$age" -lt $((hours * 3600)) ] || { echo "nothing was published for $((age / 3600)) hours"; exit 1; }
