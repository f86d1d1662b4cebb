#!/bin/sh
# build-openvswitch.sh TARBALL DESTINATION: libopenvswitch.a and its headers, built once however many builds want it at a time.
set -eu
tarball=$1
destination=$2

mkdir -p "$destination"
exec 9>"$destination/lock"
flock 9
if [ -e "$destination/done" ]; then
    touch "$destination/libopenvswitch.a"
    exit 0
fi

work=$destination/work
log=$destination/build.log
rm -rf "$work"
mkdir "$work"
trap 'rm -rf "$work"' EXIT
echo "building libopenvswitch (once, about a minute; log: $log)"

build() {
    tar -xf "$tarball" -C "$work" --strip-components=1
    cd "$work"
    ./configure --disable-ssl --disable-libcapng --disable-shared CFLAGS="-O2 -fPIC"
    printf 'include Makefile\nctl-generated: $(BUILT_SOURCES) config.h\n' > ctl.mk
    make -f ctl.mk -j "$(nproc)" ctl-generated
    make -j "$(nproc)" lib/libopenvswitch.la
}
# A subshell of its own: inside a condition the shell would not stop at the first failing command.
set +e
(set -e; build) > "$log" 2>&1
status=$?
set -e
if [ "$status" -ne 0 ]; then
    tail -n 20 "$log" >&2
    echo "libopenvswitch could not be built; the whole log is in $log" >&2
    exit 1
fi

cd "$work"
rm -rf "$destination/headers"
mkdir "$destination/headers"
find config.h include lib -name '*.h' | tar -cf - -T - | tar -xf - -C "$destination/headers"
cp lib/.libs/libopenvswitch.a "$destination/libopenvswitch.a"
touch "$destination/done"
