#!/bin/sh
# Collect under ROOTFS what the image needs to run npugate, and nothing that it never runs.
#
#   make_rootfs.sh VENV ROOTFS
#
# Runs in the build stage of the Dockerfile, as root. VENV holds the packages and npugate.
set -eu

venv=$1 root=$2
here=$(dirname "$(readlink -f "$0")")
ask() { python -c "import sysconfig; print(sysconfig.get_path('$1'))"; }
stdlib=$(ask stdlib) site=$(ask purelib)
python=$(readlink -f "$(command -v python)")
packages=$(echo "$venv"/lib/python3.*/site-packages)

# --- CPython, without what needs a terminal, a window, a database or a compiler -----------------
mkdir -p "$root$(dirname "$stdlib")" "$root$(dirname "$python")" "$root/usr/local/bin" \
  "$root/bin" "$root/etc/ssl/certs" "$root/tmp" "$root/app" "$root/root"
chmod 1777 "$root/tmp"
cp -a "$stdlib" "$root$(dirname "$stdlib")/"
cp -a "$python" "$root$python"
[ "$python" = /usr/local/bin/python3 ] || ln -s "$python" "$root/usr/local/bin/python3"
[ "$python" = /usr/local/bin/python ] || ln -s python3 "$root/usr/local/bin/python"
cd "$root$stdlib"
rm -rf config-* dist-packages ensurepip idlelib lib2to3 pydoc_data site-packages sqlite3 test \
  tkinter turtledemo turtle.py curses dbm
(cd lib-dynload && rm -f _test*.so _xx*.so xx*.so _ctypes_test*.so _curses*.so _dbm*.so _gdbm*.so \
  _sqlite3*.so _tkinter*.so nis.*.so readline*.so)

# --- the packages, without tests, type stubs and what only C and C++ callers read ----------------
mkdir -p "$root$site"
cp -a "$packages/." "$root$site/"
cd "$root$site"
rm -rf pip pip-* onnx/backend/test onnx/bin onnxruntime/capi/libonnxruntime.so.* \
  onnxruntime/datasets onnxruntime/tools \
  numpy/_core/include numpy/_core/lib numpy/f2py numpy/random/lib numpy/random/_examples
# onnxruntime's quantiser takes a few modules of its transformers.
find onnxruntime/transformers -mindepth 1 -maxdepth 1 ! -name __init__.py ! -name onnx_utils.py \
  ! -name fusion_utils.py ! -name onnx_model.py ! -name float16.py \
  -exec rm -rf {} +
find . -depth -type d \( -name tests -o -name testdata \) -exec rm -rf {} +
find . -type f \( -name '*.pyi' -o -name '*.pxd' -o -name '*.h' -o -name '*.cc' -o -name '*.c' \
  -o -name '*.proto' -o -name '*.a' \) -delete
find "$root" -depth -type d -name __pycache__ -exec rm -rf {} +

# --- the program, a shell and a few commands: a CI job that runs inside the image needs them ------
cp /src/entrypoint.py "$root/app/"
printf '#!/usr/local/bin/python3 -I\nimport sys\n\nfrom npugate.cli import main\n\nsys.exit(main())\n' \
  >"$root/usr/local/bin/npugate"
chmod 755 "$root/usr/local/bin/npugate"
cp -L "$(command -v sh)" "$root/bin/sh"
for command in cat chmod cp env grep ls mkdir mv rm sed tr; do
  cp -L "$(command -v "$command")" "$root/bin/"
done

# --- the libraries that all of it is linked with, and the notices of their packages --------------
{
  find "$root" -type f \( -name '*.so' -o -name '*.so.*' \)
  find "$root/bin" -type f
  echo "$root$python"
} >/tmp/objects
xargs ldd </tmp/objects 2>/dev/null | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/lib[^ ]*\) .*/\1/p' |
  grep -v "^$root" | sort -u >/tmp/libraries
# Names are looked up through these two, by dlopen, so that ldd cannot see them.
ldconfig -p | sed -n 's/.*\(libnss_dns\.so\.2\|libnss_files\.so\.2\|libresolv\.so\.2\) .*=> //p' \
  >>/tmp/libraries
while read -r library; do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
  dpkg -S "$(readlink -f "$library")" 2>/dev/null || dpkg -S "$library" 2>/dev/null ||
    echo "none: $library"
done </tmp/libraries | sed 's/:.*//' | sort -u >/tmp/packages
mkdir -p "$root/var/lib/dpkg/status.d"
for package in $(grep -v '^none$' /tmp/packages) dash coreutils grep sed ca-certificates tzdata; do
  # One file a package, as scanners of small images expect it.
  dpkg-query -s "$package" >"$root/var/lib/dpkg/status.d/$package"
  if [ -e "/usr/share/doc/$package/copyright" ]; then
    mkdir -p "$root/usr/share/doc/$package"
    cp -L "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/"
  fi
done
cp /etc/os-release "$root/etc/"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
# OpenSSL looks in a folder of its own, which is only links to them.
cafile=$(python -c 'import ssl; print(ssl.get_default_verify_paths().openssl_cafile)')
mkdir -p "$root$(dirname "$cafile")"
ln -s /etc/ssl/certs/ca-certificates.crt "$root$cafile"
printf 'root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\nnogroup:x:65534:\n' >"$root/etc/group"
cp -a /etc/ld.so.conf /etc/ld.so.conf.d "$root/etc/"
ldconfig -r "$root"

# --- bytecode of just the modules that a run imports; this proves besides that they import -------
cp "$here/precompile.py" "$root/tmp/"
chroot "$root" /usr/local/bin/python3 -I /tmp/precompile.py
rm "$root/tmp/precompile.py"
