#!/bin/sh
# Install lock files into a virtual environment, every file by its hash:
#
#   tools/install_locks.sh VENV LOCK...        such as: tools/install_locks.sh .venv build run
#
# The pip that a Python brings is as old as that Python and resolves anew what a lock has resolved, so that
# a package of today can break a lock of last month. It installs one thing only: the pip of
# requirements/pip.lock. That one installs the rest and resolves nothing, since a lock names all there is.
set -eu

python=${1:?the virtual environment, such as .venv}/bin/python
shift
requirements=$(dirname "$0")/../requirements
export PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_USER=0
for lock in pip "$@"; do
  "$python" -m pip install --quiet --no-deps --require-hashes -r "$requirements/$lock.lock"
done
