"""The shape of the tree: what may import what, how fast a tool starts, what the README promises."""

import ast
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parent.parent
FILTERS = sorted(path.stem for path in (ROOT / "filters").glob("*.py") if path.stem != "__init__")

# The library from the bottom up: a module imports only those before it.
LAYERS = [
    "exits", "errors", "heap", "memory", "proof", "jsonl", "document", "compress", "streams", "page", "fetch", "ends", "stats", "report", "rejects", "pings", "records", "message", "bagheera",
    "arrays", "definitions", "percentiles", "bars", "sample", "schema", "query", "store", "positions", "staging", "retrieve", "salvage", "tree", "lookup", "revisions", "server", "sources", "history", "unified", "parted", "heads", "canonical", "typed", "compiled", "tiers", "parts", "sums", "validate", "convert",
    "resolve", "persist", "kafka", "consume", "produce", "change", "encodings", "counters", "spool", "recovery", "window", "committer", "submission", "packed", "sender", "receiver", "service", "httpd", "reception", "pairs", "manifest", "script", "fields", "values", "measures", "dashboard", "job", "sorter", "grouping", "mapreduce", "edges", "rehearsal", "answer", "names", "folder", "publish", "program", "usage", "cli", "stage", "slots", "ranges", "channel", "worker", "crew", "chain",
]  # fmt: skip
OWNERS = {
    "ujson": "jsonl",
    "zstandard": "compress",
    "docopt": "usage",
    "msgspec": "typed",
    "aiohttp": "httpd",
    "brotli": "encodings",
    "confluent_kafka": "kafka",
}
SLOW = {
    "pkg_resources",
    "importlib.metadata",
    "argparse",
    "logging",
    "typing",
    "asyncio",
    "email",
    "http",
    "urllib.request",
}


def imports(path):
    """The names of the modules that a file imports, `tel.x` for those of ours."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.module == "tel":
                yield from (f"tel.{alias.name}" for alias in node.names)
            else:
                yield node.module


MODULES = sorted((ROOT / "lib").glob("*.py"))
JOBS = sorted((ROOT / "lib" / "jobs").glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_a_module_imports_only_what_lies_below_it(path):
    if path.stem == "__init__":
        return
    assert path.stem in LAYERS, f"put {path.stem} in its place among the layers of {__file__}"
    below = {f"tel.{name}" for name in LAYERS[: LAYERS.index(path.stem)]} | {"tel.__version__"}
    below |= {"tel._skim", "tel._sums"} if path.stem in ("compiled", "tiers") else set()
    assert not {name for name in imports(path) if name.startswith("tel.")} - below


@pytest.mark.parametrize("path", JOBS, ids=lambda path: path.stem)
def test_a_built_in_job_imports_only_what_lies_below_the_runner(path):
    below = {f"tel.{name}" for name in LAYERS[: LAYERS.index("job")]}
    assert not {name for name in imports(path) if name.split(".")[0] in {"tel", *OWNERS}} - below


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_imports_the_library_alone(name):
    path = ROOT / "filters" / f"{name}.py"
    ours = {name for name in imports(path) if name.startswith("tel")}
    assert set(imports(path)) == ours and not any(name.startswith("tel.filters") for name in ours)
    called = {
        node.func.id
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert not called & {"open", "print", "exit"}


@pytest.mark.parametrize("package, owner", OWNERS.items())
def test_each_package_has_one_user(package, owner):
    users = {path.stem for path in MODULES if package in {name.split(".")[0] for name in imports(path)}}
    assert users == {owner}


@pytest.mark.parametrize("name", FILTERS)
def test_a_tool_starts_with_little(name):
    code = f"import sys, tel.filters.{name} as m; sys.argv = ['x', '--version']; m.main(); print(*sys.modules, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", f"import sys; sys.path[:] = {sys.path!r}\n{code}"], capture_output=True, text=True
    )
    assert done.returncode == 0 and done.stdout.startswith("tel-")
    assert not set(done.stderr.split()) & (SLOW | set(OWNERS))


def test_readme_and_ci_name_the_same_commands():
    readme, ci = (ROOT / "README.md").read_text(), (ROOT / ".ci/run").read_text().splitlines()
    for command in ("make demo", "make test"):
        assert f"    {command}\n" in readme and command in ci
    for name in FILTERS:
        assert f"`tel-{name}`" in readme


def test_make_lists_its_targets():
    listed = subprocess.run(["make", "-C", str(ROOT)], capture_output=True, text=True).stdout
    for target in (
        "demo",
        "test",
        "test-firefox",
        "check",
        "lint",
        "man",
        "browser",
        "bench",
        "install",
        "dist",
        "accept",
        "clean",
    ):
        assert f"\n{target} " in f"\n{listed}"


def test_the_project_speaks_of_itself_alone():
    """No words of the place where it was made in what is kept."""
    files = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True).stdout.split()
    for name in files:
        text = (ROOT / name).read_bytes() if (ROOT / name).exists() else b""
        assert b"/work/" + b"main" not in text and b"/work/" + b"shared" not in text, name


@pytest.mark.slow
def test_it_installs_and_runs_without_a_compiler(tmp_path):
    files = subprocess.run(["git", "-C", str(ROOT), "ls-files"], capture_output=True, text=True, check=True).stdout
    for name in files.split():
        if (ROOT / name).exists() and not name.startswith("tests/"):
            (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, tmp_path / "tree" / name)
    pip = [sys.executable, "-m", "pip", "-q", "install", "--no-deps", "--no-build-isolation", "--target"]
    without = {**os.environ, "CC": "/bin/false", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    subprocess.run([*pip, str(tmp_path / "site"), str(tmp_path / "tree")], env=without, check=True)
    assert not list((tmp_path / "site").rglob("*.so"))
    assert (tmp_path / "site" / "tel" / "data" / "dashboard" / "index.html").is_file()
    code = "import sys; sys.argv[0] = 'tel-convert'; from tel.filters.convert import main; sys.exit(main())"
    environment = {**without, "PYTHONPATH": str(tmp_path / "site"), "TEL_TIER": ""}
    record = b'{"id":"a","date":"20130901","info":{},"revision":null,"ping":{"ver":1,"info":{},"histograms":{}}}\n'
    for words, expected in (["--version"], b"(fast tier)"), ([], b'"ping":{"ver":2,'):
        run = [sys.executable, "-c", code, *words]
        done = subprocess.run(run, input=record, env=environment, capture_output=True, cwd=tmp_path)
        assert done.returncode == 0 and (expected in done.stdout or b"(plain tier)" in done.stdout), done
