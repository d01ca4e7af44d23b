"""The packages of a wheel; everything else about them is in pyproject.toml.

`kernels/` and `notebooks/course/` are plain folders, not packages: `sleep_kernels` sits on its own
floor and knows nothing of `workbench`, which knows nothing of `sleep_course`. An editable install
maps the names and leaves the root off sys.path. `data/` and `notebooks/` hold no package at all: a
wheel installs them next to `workbench`, under names that nobody else uses.
"""

from setuptools import find_packages, setup

FOLDERS = {
    "workbench": "workbench",
    "sleep_kernels": "kernels/sleep_kernels",
    "sleep_course": "notebooks/course/sleep_course",
    "sleep_data": "data",
    "sleep_notebooks": "notebooks",
}

packages = []
for name, folder in FOLDERS.items():
    packages += [name, *(f"{name}.{below}" for below in find_packages(folder))]

setup(packages=packages, package_dir=FOLDERS)
