"""Install the suite: one console script for each module of filters/, the library as `tel`, the manual pages."""

import glob
import os
import re

from setuptools import Extension, setup

HERE = os.path.dirname(os.path.abspath(__file__))


def read(*parts):
    """The text of a file of this tree."""
    with open(os.path.join(HERE, *parts), encoding="utf-8") as file:
        return file.read()


def tools():
    """The names of the modules in filters/, each a tool."""
    names = (os.path.basename(path)[:-3] for path in glob.glob(os.path.join(HERE, "filters", "*.py")))
    return sorted(name for name in names if name != "__init__")


os.chdir(HERE)
setup(
    name="tel",
    version=re.search(r'__version__ = "(.+)"', read("lib", "__init__.py"))[1],
    description="Unix filters that do the job of the Mozilla Telemetry server",
    long_description=read("README.md"),
    long_description_content_type="text/markdown",
    license="MPL-2.0",
    python_requires=">=3.9",
    packages=["tel", "tel.filters", "tel.jobs"],
    package_dir={"tel": "lib", "tel.filters": "filters", "tel.jobs": "lib/jobs"},
    package_data={"tel": ["data/*.json", "data/dashboard/*"]},
    install_requires=["docopt", "ujson>=5.7", "zstandard>=0.18"],
    ext_modules=[  # without a C compiler the other tiers serve
        Extension("tel._skim", ["lib/skim.c"], depends=glob.glob("lib/*.h"), optional=True),
        Extension("tel._sums", ["lib/sums.c"], depends=["lib/hash.h"], optional=True),
    ],
    extras_require={
        "browser": ["playwright"],
        "dashboard": ["bokeh>=3"],
        "fast": ["msgspec"],
        "http": ["aiohttp>=3.14", "brotli"],  # before, it did not bound the number of headers
        "kafka": ["confluent-kafka"],
        "spark": ["pyspark"],
        "test": [
            "pytest",
            "hypothesis",
            "mercurial",
            "msgspec",
            "aiohttp>=3.14; python_version >= '3.10'",
            "brotli",
            "confluent-kafka",
            "bokeh>=3",
        ],
    },
    entry_points={"console_scripts": [f"tel-{name.replace('_', '-')} = tel.filters.{name}:main" for name in tools()]},
    data_files=[(f"share/man/man{section}", sorted(glob.glob(f"man/*.{section}"))) for section in "157"]
    + [("share/tel/pipelines", sorted(glob.glob("pipelines/*")))],
)
