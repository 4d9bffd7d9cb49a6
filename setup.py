"""What the wheel holds, read from the folders; all else of the package is in pyproject.toml."""

from setuptools import find_packages, setup

# Folders of the checkout that are packages below npugate only once they are installed: under their
# own names they would take the place of a user's folders.
MAPPED = {f"npugate.{folder}": folder for folder in ("checks", "fixers", "third_party")}
# Data is taken by its kind from wherever it lies below a package: no list of folders is kept.
# tests/project/test_wheel.py compares the wheel with what git tracks.
DATA = ["py.typed", "LICENSE", "*.md", "*.toml", "*.json", "*.html", "*.css", "*.js"]

setup(
    packages=[*find_packages(include=["npugate", "npugate.*"]), *MAPPED],
    package_dir={"npugate": "npugate", **MAPPED},
    package_data={"": [f"**/{pattern}" for pattern in DATA]},
    # Else setuptools takes each folder of data for a package that was forgotten, and warns of it.
    include_package_data=False,
)
