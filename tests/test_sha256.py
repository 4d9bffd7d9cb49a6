"""SHA-256 without OpenSSL for what is short."""

import hashlib
import subprocess
import sys

import pytest

from npugate import sha256

SHORT = 4 << 20


@pytest.mark.parametrize("size", [0, 1, SHORT, SHORT + 1])
def test_both_implementations_say_the_same(size):
    data = bytes(range(256)) * (size // 256 + 1)
    made = sha256.hasher(size)
    made.update(data[: size // 2])
    made.update(memoryview(data)[size // 2 : size])
    assert made.hexdigest() == hashlib.sha256(data[:size]).hexdigest()
    assert sha256.sha256(data[:size]) == hashlib.sha256(data[:size]).hexdigest()


@pytest.mark.parametrize(("size", "loaded"), [(SHORT, False), (SHORT + 1, True)])
@pytest.mark.usefixtures("uncovered")
def test_openssl_is_loaded_for_a_large_file_only(size, loaded):
    code = f"import sys; from npugate import sha256; sha256.hasher({size}); print(*sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ("_hashlib" in ran.stdout.split()) is loaded
