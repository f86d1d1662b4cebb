# Prints what stands in this sandbox, one fact a line: what ctl must neither leave behind nor touch.
ip -j link | jq -r '.[] | "link \(.ifname) \(.master // "-") \(.ifalias // "")"'
ip -j addr | jq -r '.[] | .ifname as $link | .addr_info[] | select(.scope == "global") | "address \($link) \(.local)/\(.prefixlen)"'
find /var/lib/ctl /run -xdev -path '*/images/sha256/*/*' -prune -o \
    '(' -name upper -o -name work -o -name rootfs ')' -prune -printf 'file %p\n' -o \
    ! -path '/run/lxc*' ! -name 'state.db-*' ! -name inventory.sh -printf 'file %p\n'
cut -d ' ' -f 5 /proc/self/mountinfo | sed 's/^/mount /'
find /sys/fs/cgroup -type d -printf 'cgroup %p\n'
lsns -nro TYPE | sort | uniq -c | sed 's/^/namespaces /'
ps -eo pid=,ppid=,args= | awk -v me=$$ '$1 != me && $2 != me { $1 = $2 = ""; print "process" $0 }'
