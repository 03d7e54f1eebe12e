#!/usr/bin/env bash
# A stand-in for AWS's base image of Lambda's Python, for machines that reach no image registry: made of Debian's packages and
# of what requirements/runtime.txt locks, for this machine's processor. About 20 s.
#
#   local/base_image/build.sh TAG
#
# Not the real thing: Debian's C library is newer than Amazon Linux's, and the function is root and may write anywhere.
# Needs docker, uv (UV) and, from Debian's packages, mmdebstrap.
set -euo pipefail
tag=${1:?the name of the image}
here=$(realpath "$(dirname "$0")")
repository=$here/../..
suite=trixie python=3.13   # the release of Debian whose Python is the runtime's
mirror=${MIRROR:-$({ cat /etc/apt/sources.list /etc/apt/sources.list.d/* 2>/dev/null || true; } |
  sed -nE 's/^URIs: *([^ ]+).*/\1/p; s/^deb +(\[[^]]*\] +)?([^ ]+).*/\2/p' | head -n 1)}
: "${mirror:?set MIRROR to the address of a Debian mirror}"

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
root=$work/root

# Packages are only unpacked: no script of theirs runs, which is why it is fast.
mmdebstrap --mode=root --quiet --variant=extract --include=python3,libstdc++6,dash,coreutils,ca-certificates,tzdata \
  "$suite" "$root" "$mirror" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
for folder in bin sbin lib lib64; do
  [ -e "$root/$folder" ] || { mkdir -p "$root/usr/$folder"; ln -s "usr/$folder" "$root/$folder"; }
done
[ -e "$root/bin/sh" ] || ln -s dash "$root/bin/sh"
[ -e "$root/bin/python$python" ] || { echo "Debian $suite has no Python $python" >&2; exit 1; }
rm -rf "$root"/var/cache/* "$root"/var/lib/{apt,dpkg} "$root"/var/log/* "$root"/usr/share/{doc,man,locale,info}

# Where Lambda has its Python, and what it brings by itself.
mkdir -p "$root"/{var/task,var/runtime,var/lang/bin,opt,tmp,proc,sys,etc/ssl/certs}
cat "$root"/usr/share/ca-certificates/mozilla/*.crt >"$root/etc/ssl/certs/ca-certificates.crt"
ln -s "/usr/bin/python$python" "$root/var/lang/bin/python$python"
install -m 755 "$here/bootstrap" "$root/var/runtime/bootstrap"
install -m 755 "$here/lambda-entrypoint.sh" "$root/lambda-entrypoint.sh"
"${UV:-uv}" pip install --quiet --no-config --target "$root/usr/local/lib/python$python/dist-packages" --link-mode copy \
  --python-version "$python" --python-platform "$(uname -m)-manylinux_2_28" --only-binary :all: --no-deps --require-hashes \
  -r "$repository/requirements/runtime.txt"

tar -C "$root" --numeric-owner --sort=name -cf - . | docker import \
  --change 'ENV LANG=C.UTF-8' --change 'ENV TZ=:UTC' \
  --change 'ENV PATH=/var/lang/bin:/usr/local/bin:/usr/bin:/bin:/opt/bin' \
  --change 'ENV LAMBDA_TASK_ROOT=/var/task' --change 'ENV LAMBDA_RUNTIME_DIR=/var/runtime' \
  --change 'WORKDIR /var/task' --change 'ENTRYPOINT ["/lambda-entrypoint.sh"]' \
  - "$tag"
