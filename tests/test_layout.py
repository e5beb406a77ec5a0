"""`--layout 2013`: a tree that the 2013 server wrote is listed, read and mapped, and nothing in it is passed over."""

import gzip
import json
import lzma

import pytest

PLACES = {
    "idle_daily/Firefox/nightly/22.0a1/20130301030912.20130302.v2.log.0a1b2c.lzma": lambda data: lzma.compress(
        data, lzma.FORMAT_ALONE
    ),
    "saved_session/Fennec/release/1.5_pre/x/20130801030215.20130910.v2.log.ffff.xz": lzma.compress,
    "android_anr_report/Firefox/OTHER/24.0/2013.20130910.v2.log.1.gz": gzip.compress,
}
DIMS = {
    "id-0": ["idle-daily", "Firefox", "nightly", "22.0a1", "20130301030912", "20130302"],
    "id-1": ["saved-session", "Fennec", "release", "1.5_pre/x", "20130801030215", "20130910"],
    "id-2": ["android-anr-report", "Firefox", "OTHER", "24.0", "2013", "20130910"],
}


@pytest.fixture
def tree(tmp_path):
    """A tree of one file in each of the codecs, two pings in each."""
    for number, (place, squeeze) in enumerate(PLACES.items()):
        path = tmp_path / "tree" / place
        path.parent.mkdir(parents=True)
        ping = '{"ver": 2, "info": {"OS": "Linux"}}'
        path.write_bytes(squeeze(f"id-{number}\t{ping}\nid-{number}-b\t{ping}\n".encode()))
    return tmp_path / "tree"


def listed(tree, places=PLACES):
    return "".join(sorted(f"{tree}/{place}\n" for place in places)).encode()


def test_the_files_are_listed(tree, run_tool):
    done = run_tool("tel-ls", "--layout", "2013", tree)
    assert (done.returncode, done.stdout, done.stderr) == (0, listed(tree), b"")


@pytest.mark.parametrize(
    "where, number", [("reason=idle-daily", 0), ("date=2013-03-01..20130303", 0), ("version=1.5_pre_x", 1), ("channel=OTHER", 2)]
)  # fmt: skip
def test_conditions_are_on_what_the_paths_say(where, number, tree, run_tool, tmp_path):
    done = run_tool("tel-ls", "--layout", "2013", "--where", where, tree)
    assert done.stdout == listed(tree, [list(PLACES)[number]]), done.stderr
    (tmp_path / "filter").write_text(
        '{"version":1,"dimensions":[{"field_name":"appName","allowed_values":["Fennec"]}]}'
    )
    done = run_tool("tel-ls", "--layout", "2013", "--filter", tmp_path / "filter", tree)
    assert done.stdout == listed(tree, [list(PLACES)[1]])


def test_the_records_have_the_dimensions_of_their_paths(tree, run_tool):
    done = run_tool("tel-cat", "--layout", "2013", tree)
    *records, end = map(json.loads, done.stdout.splitlines())
    assert end["end"]["records"] == len(records) == 6
    for record in records:
        reason, app, channel, version, build, date = DIMS[record["id"].removesuffix("-b")]
        assert record["date"] == date and record["info"] == {
            "reason": reason, "appName": app, "appUpdateChannel": channel, "appVersion": version, "appBuildID": build, "OS": "Linux",
        }  # fmt: skip


def test_a_tree_becomes_a_store(tree, run_tool, tmp_path):
    piped = run_tool("tel-cat", "--layout", "2013", tree).stdout
    assert run_tool("tel-persist", "--store", tmp_path / "s", stdin=piped).returncode == 0
    paths = run_tool("tel-ls", "--where", "reason=idle-daily", tmp_path / "s").stdout
    assert b"/20130302/idle-daily/Firefox/nightly/22.0a1/20130301030912/" in paths


def test_a_job_sees_the_dimensions(tree, run_tool, tmp_path):
    (tmp_path / "job.py").write_text("def map(key, dims, value, context):\n    context.write(key, dims)\n")
    paths = run_tool("tel-ls", "--layout", "2013", tree).stdout
    done = run_tool("tel-map", "--layout", "2013", "--files-from", "-", tmp_path / "job.py", stdin=paths)
    *pairs, end = map(json.loads, done.stdout.splitlines())
    assert {key: dims for key, dims in pairs if not key.endswith("-b")} == DIMS and end["end"]["files"] == 3


@pytest.mark.parametrize(
    "name", ["idle_daily/Firefox/beta/24.0/1.20130901.v2.log", "idle_daily/Firefox/beta/1.20130901.v2.log.1.lzma", "README", "idle_daily/Firefox/beta/24.0/1.2013.v2.log.1.gz"]
)  # fmt: skip
def test_a_file_of_another_name_is_said(name, tree, run_tool):
    path = tree / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"")
    for tool in ("tel-ls", "tel-cat"):
        done = run_tool(tool, "--layout", "2013", tree)
        assert done.returncode == 74 and done.stdout == b"" and str(path).encode() in done.stderr
    mapped = run_tool("tel-map", "--layout", "2013", "count", path.relative_to(tree), cwd=tree)
    assert mapped.returncode == 74 and mapped.stdout == b"" and name.encode() in mapped.stderr


@pytest.mark.parametrize("spoil", [lambda data: data[:-9], lambda data: b"", lambda data: b"id\t{}\n"])
@pytest.mark.parametrize("place", PLACES)
def test_a_damaged_file_is_never_a_smaller_answer(place, spoil, tree, run_tool):
    path = tree / place
    path.write_bytes(spoil(path.read_bytes()))
    for command in (("tel-cat", "--layout", "2013", tree), ("tel-map", "--layout", "2013", "count", path)):
        done = run_tool(*command)
        assert done.returncode == 65 and b'"end"' not in done.stdout and str(path).encode() in done.stderr


def test_what_is_no_tree(tree, run_tool, tmp_path):
    assert run_tool("tel-ls", "--layout", "2013", tmp_path / "none").returncode == 66
    assert run_tool("tel-ls", tree).returncode == 66
    for command in (("tel-ls", tree), ("tel-map", "count", tree)):
        done = run_tool(command[0], "--layout", "2014", *command[1:])
        assert done.returncode == 2 and b"2013" in done.stderr


def test_a_file_that_the_server_wrote(corpus, run_tool, tmp_path):
    place = tmp_path / "saved_session/Firefox/nightly/22.0a1"
    place.mkdir(parents=True)
    path = place / "20130331030845.20131001.v2.log.5a5a.lzma"
    path.symlink_to(corpus / "converted/ss-ff-n-22.lzma")
    (line,) = (corpus / "converted/ss-ff-n-22.tsv").read_bytes().splitlines()
    done = run_tool("tel-cat", "--layout", "2013", tmp_path)
    record, end = map(json.loads, done.stdout.splitlines())
    assert (record["id"], record["ping"]) == (line.split(b"\t")[0].decode(), json.loads(line.split(b"\t")[1]))
    mapped = run_tool("tel-map", "--layout", "2013", "count appUpdateChannel", path)
    assert mapped.stdout.startswith(b'[["nightly"],1]\n')
    path.unlink()
    path.symlink_to(corpus / "converted/corrupted.lzma")
    assert run_tool("tel-cat", "--layout", "2013", tmp_path).returncode == 65
