"""The examples in docstrings run, those of the library and of the maker of the manual."""

import doctest
import importlib
import importlib.machinery
import importlib.util
import pathlib

import pytest

from tel import tiers
from tel.errors import UsageError

ROOT = pathlib.Path(__file__).parent.parent
PATHS = [path for folder in ("lib", "lib/jobs") for path in sorted((ROOT / folder).glob("*.py"))]
MODULES = [".".join(["tel", *path.relative_to(ROOT / "lib").with_suffix("").parts]) for path in PATHS]


@pytest.mark.parametrize("name", [name.removesuffix(".__init__") for name in MODULES])
def test_examples_in_docstrings_run(name):
    if name == "tel.compiled" and not tiers.is_there("compiled"):
        pytest.skip("tel was installed without a C compiler: the examples of tel.compiled are not run")
    try:
        module = importlib.import_module(name)
    except UsageError as error:
        pytest.skip(f"{error}: the examples of {name} are not run")
    assert doctest.testmod(module).failed == 0


def test_examples_of_the_manual_maker_run():
    loader = importlib.machinery.SourceFileLoader("man_make", str(ROOT / "man" / "make"))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("man_make", loader))
    loader.exec_module(module)
    tried = doctest.testmod(module)
    assert tried.attempted and not tried.failed
