"""pipelines/cluster-mapreduce over real ssh: three hosts, each a sshd on an address of its own, with its own store.

The answer is that of one store with everything in it, byte for byte; or there is none, and the host is named.
"""

import os
import pathlib
import random
import shutil
import socket
import subprocess
import time

import pytest
import standins

import tools

CLUSTER = pathlib.Path(__file__).parent.parent / "pipelines" / "cluster-mapreduce"
JOB = "histograms"
SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")
ADDRESSES = ("127.0.0.2", "127.0.0.3", "127.0.0.4")
FAULTS = int(os.environ.get("TEL_CLUSTER_FAULTS", "30"))

for name, found in (("sshd", SSHD), ("ssh", shutil.which("ssh")), ("parallel", shutil.which("parallel"))):
    if not found:
        pytest.skip(f"{name} missing: pipelines/cluster-mapreduce is not run over ssh", allow_module_level=True)


class Host:
    """A sshd, its folder, and the first folder of its PATH, where tests put what shall fail.

    `within` are the words of a command that runs it in another place. The shells it starts are told by SHLVL that they
    are not the first: else bash reads the user's ~/.bashrc, whatever that does.
    """

    def __init__(self, place, address, port, within=()):
        self.folder, self.address, self.port, self.within = place / address, address, port, within
        self.bin = self.folder / "bin"
        self.bin.mkdir(parents=True)
        self.greet("")
        (self.folder / "config").write_text(
            f"""ListenAddress {address}
Port {port}
HostKey {place}/host
AuthorizedKeysFile {place}/user.pub
PidFile none
StrictModes no
UsePAM no
PermitRootLogin prohibit-password
PasswordAuthentication no
SetEnv PATH={self.bin}:{os.environ["PATH"]} SHLVL=1
ForceCommand . {self.folder}/profile
"""
        )
        self.process = None

    def greet(self, text):
        """Let the profile print a text at each login."""
        where = f"cd {self.folder}\nexport TMPDIR={self.folder}\n"
        (self.folder / "profile").write_text(f'{where}{f"echo {text}" if text else ""}\neval "$SSH_ORIGINAL_COMMAND"\n')

    def start(self):
        """Serve, and wait until connections are taken."""
        self.process = subprocess.Popen([*self.within, SSHD, "-D", "-q", "-f", str(self.folder / "config")])
        for _ in range(100):
            try:
                socket.create_connection((self.address, self.port), 1).close()
                return
            except OSError:
                assert self.process.poll() is None, "sshd does not start"
                time.sleep(0.05)
        raise AssertionError("sshd takes no connections")

    def stop(self):
        self.process.terminate()
        self.process.wait(10)

    def mend(self):
        """Make it a good host again."""
        shutil.rmtree(self.bin)
        self.bin.mkdir()
        self.greet("")
        if self.process.poll() is not None:
            self.start()


def free_port():
    """A port that is free on all three addresses."""
    for port in random.sample(range(20000, 30000), 50):
        try:
            for address in ADDRESSES:
                with socket.socket() as probe:
                    probe.bind((address, port))
            return port
        except OSError:
            continue
    pytest.skip("127.0.0.2 to 127.0.0.4 cannot be listened on: pipelines/cluster-mapreduce is not run over ssh")


@pytest.fixture(scope="module")
def place(tmp_path_factory, run_tool):
    """A folder with the keys, and the store `all` with three batches."""
    place = tmp_path_factory.mktemp("cluster")
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(place / name)], check=True)
    assert run_tool("tel-sample", "--definitions", place / "h").returncode == 0
    if os.getuid() == 0:
        os.makedirs("/run/sshd", mode=0o755, exist_ok=True)  # where sshd shuts its unprivileged half in
    return place


@pytest.fixture(scope="module")
def all_hosts(place, run_tool):
    """Three hosts that serve, each with a batch of its own in its store; all three are in the store `all`, too."""
    port = free_port()
    hosts = [Host(place, address, port) for address in ADDRESSES]
    for number, host in enumerate(hosts):
        for store in (host.folder / "store", place / "all"):
            tools.store_sampled(run_tool, place, store, 60, f"b{number}", number)
        host.start()
    yield hosts
    for host in hosts:
        host.stop()


@pytest.fixture
def hosts(all_hosts):
    yield all_hosts
    for host in all_hosts:
        host.mend()


@pytest.fixture(scope="module")
def answer(place, all_hosts, run_tool):
    lines = f"tel-ls {place}/all | tel-map --files-from - {JOB} | tel-reduce {JOB}"
    done = run_tool("bash", "-o", "pipefail", "-c", lines)
    assert done.returncode == 0 and len(done.stdout.splitlines()) > 50
    return done.stdout


def ssh_options(place):
    options = f"-F /dev/null -i {place}/user -o BatchMode=yes -o StrictHostKeyChecking=no -o LogLevel=ERROR"
    return f"{options} -o UserKnownHostsFile=/dev/null -o ConnectTimeout=10"


@pytest.fixture
def cluster(place, hosts, run_tool, tmp_path):
    """Runs the pipeline; the hosts are spelled in the three ways that there are."""
    options = ssh_options(place)
    two, three, four = hosts
    listed = ["# the hosts", f"{two.address}:{two.port}", "", f"2/{three.address}:{three.port} # the second"]
    listed.append(f"1/ssh {options} -o 'User={os.environ.get('USER', 'root')}' -p {four.port} {four.address}")
    if os.getuid() != 0:
        listed[-1] = listed[-1].replace(f" -o 'User={os.environ.get('USER', 'root')}'", "")
    (tmp_path / "hosts").write_text("".join(f"{line}\n" for line in listed))
    env = {**os.environ, "TEL_SSH": f"ssh {options}", "TMPDIR": str(tmp_path)}

    def run(*words, job=JOB, store="store", jobs="1", rest=(), env=env):
        words = ("--hosts", tmp_path / "hosts", "--store", store, "-j", jobs, *words, job, *rest)
        done = run_tool(CLUSTER, *words, env=env, timeout=100)
        assert not [name for name in os.listdir(tmp_path) if name.startswith("tel-")]
        return done

    return run


def assert_named(done, host, *words, status=75):
    """There is no answer, and of the hosts only this one is said to have failed."""
    told = done.stderr.decode()
    assert (done.returncode, done.stdout) == (status, b""), told
    failed = [line for line in told.splitlines() if line.startswith("cluster-mapreduce: ") and " failed: " in line]
    assert len(failed) == 1 and host.address in failed[0] and all(word in told for word in words), told
    assert "there is no answer" in told


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_the_answer_is_that_of_one_store(cluster, answer, jobs):
    done = cluster(jobs=jobs)
    assert (done.returncode, done.stdout, done.stderr) == (0, answer, b"")


def test_a_job_file_its_words_conditions_and_options_are_sent(cluster, place, run_tool, tmp_path):
    job = tmp_path / "of.py"
    job.write_text(
        "PARAMETERS = ['word']\ndef map(key, dims, value, context):\n    context.write([context.parameters[0], dims[2]], 1)\n"
        "def combine(key, values, context):\n    context.write(key, sum(values))\nreduce = combine\n"
    )
    done = cluster("--where", "channel=nightly..release", job=f"{job} it's", rest=("--", "--format", "tsv"))
    lines = f'tel-ls --where channel=nightly..release {place}/all | tel-map --files-from - "$0" | tel-reduce --format tsv "$0"'
    plain = run_tool("bash", "-c", lines, f"{job} it's")
    assert done.returncode == 0 and done.stdout == plain.stdout and b"it's\tnightly\t" in done.stdout
    bad = tmp_path / "bad.py"
    bad.write_text("def map(key, dims, value, context):\n    1 / 0\n")
    done = cluster(job=bad)
    assert (done.returncode, done.stdout) == (65, b"") and done.stderr.count(b"ZeroDivisionError") == 3


def test_hosts_without_a_file_that_matches(cluster):
    done = cluster("--where", "channel=none")
    assert (done.returncode, done.stdout) == (0, b"") and done.stderr.count(b"no file matches") == 3


@pytest.mark.parametrize("tool", ["tel-map", "tel-combine", "tel-ls"])
def test_a_killed_tool(cluster, hosts, tool):
    standins.replace(hosts[1].bin, tool, standins.KILLED)
    assert_named(cluster(), hosts[1])


def test_a_stopped_sshd(cluster, hosts):
    hosts[0].stop()
    assert_named(cluster(), hosts[0], "status 255", "Connection refused")


@pytest.mark.parametrize("tool", ["tel-map", "tel-combine"])
def test_a_connection_that_is_cut(cluster, hosts, tool):
    standins.replace(hosts[2].bin, tool, standins.CUT)
    assert_named(cluster(), hosts[2], "status 255")


def test_a_host_that_hangs(cluster, hosts):
    standins.replace(hosts[1].bin, "tel-map", standins.HANGING)
    assert_named(cluster("--timeout", "5"), hosts[1], "had not ended after 5 seconds")


@pytest.fixture(scope="module")
def faraway(place, run_tool):
    """(a host in a network of its own, the name of the link to it)."""
    name = f"tel{os.getpid()}"
    link, other, net = f"{name}a", f"{name}b", f"10.{os.getpid() % 250}.77"
    steps = [
        f"ip netns add {name}",
        f"ip link add {link} type veth peer name {other} netns {name}",
        f"ip addr add {net}.1/24 dev {link}",
        f"ip link set {link} up",
        f"ip -n {name} addr add {net}.2/24 dev {other}",
        f"ip -n {name} link set {other} up",
    ]
    made = run_tool("sh", "-c", " && ".join(steps))
    try:
        if made.returncode:
            pytest.skip("network namespaces are not allowed here: a link that goes silent is not tried")
        host = Host(place, f"{net}.2", 22022, ("ip", "netns", "exec", name))
        tools.store_sampled(run_tool, place, host.folder / "store", 20)
        host.start()
        yield host, link
        host.stop()
    finally:
        run_tool("sh", "-c", f"ip link del {link}; ip netns del {name}")


@pytest.mark.parametrize("alive, words", [("", ["had not ended after 8 seconds"]), ("1", ["status 255"])])
def test_a_link_that_goes_silent(alive, words, faraway, place, tmp_path):
    host, link = faraway
    subprocess.run(["ip", "link", "set", link, "up"], check=True)
    host.mend()
    standins.replace(host.bin, "tel-combine", f'touch {tmp_path}/begun; sleep 2; exec "$real" "$@"')
    (tmp_path / "hosts").write_text(f"{host.address}:{host.port}\n")
    options = ssh_options(place) + (f" -o ServerAliveInterval={alive} -o ServerAliveCountMax=2" if alive else "")
    command = [CLUSTER, "--hosts", tmp_path / "hosts", "--store", "store", "-j", "1", "--timeout", "8", JOB]
    env = {**os.environ, "TEL_SSH": f"ssh {options}"}
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env)
    while not (tmp_path / "begun").exists():
        assert running.poll() is None, running.communicate()
        time.sleep(0.05)
    subprocess.run(["ip", "link", "set", link, "down"], check=True)
    stdout, stderr = running.communicate(timeout=60)
    assert_named(subprocess.CompletedProcess(command, running.returncode, stdout, stderr), host, *words)


def test_a_cut_file(cluster, hosts, run_tool):
    path = run_tool("tel-ls", hosts[0].folder / "store").stdout.decode().splitlines()[0]
    data = pathlib.Path(path).read_bytes()
    os.truncate(path, len(data) - 1)
    try:
        assert_named(cluster(), hosts[0], "tel-map: ", os.path.relpath(path, hosts[0].folder), status=65)
    finally:
        pathlib.Path(path).write_bytes(data)


def test_another_version(cluster, hosts):
    standins.replace(hosts[2].bin, "tel-map", standins.OTHER_VERSION, version="asked")
    assert_named(cluster(), hosts[2], "tel-map 0.0.9", "install the same")


def test_no_tools(cluster, hosts):
    standins.replace(hosts[1].bin, "tel-map", 'echo "tel-map: command not found" >&2; exit 127', version="asked")
    assert_named(cluster(), hosts[1], "status 127", "command not found")


def test_the_path_option_comes_first(cluster, hosts, answer, tmp_path):
    for host in hosts:
        standins.replace(host.bin, "tel-combine", "exit 9")
    standins.replace(tmp_path / "good tools", "tel-combine", 'exec "$real" "$@"')
    done = cluster("--path", tmp_path / "good tools")
    assert (done.returncode, done.stdout) == (0, answer), done.stderr


@pytest.mark.parametrize("text", ["Welcome", "'[[\"nightly\"],1]'"])
def test_a_greeting(cluster, hosts, text):
    hosts[1].greet(text)
    assert_named(cluster(), hosts[1], text.strip("'"), "profile")


def test_a_greeting_that_comes_at_the_second_login_only(cluster, hosts):
    hosts[1].greet(f'"$(ls {hosts[1].bin}/seen 2> /dev/null)"; touch {hosts[1].bin}/seen')
    done = cluster()
    assert done.returncode == 75 and done.stdout == b""


def test_no_store(cluster, hosts):
    os.rename(hosts[0].folder / "store", hosts[0].folder / "away")
    try:
        assert_named(cluster(), hosts[0], "tel-ls: ", status=66)
    finally:
        os.rename(hosts[0].folder / "away", hosts[0].folder / "store")


def test_a_full_disk(cluster, hosts):
    standins.replace(hosts[2].bin, "tel-combine", standins.FULL)
    assert_named(cluster(), hosts[2], "No space left on device", status=74)


def test_a_failure_that_passes_is_tried_again_if_that_is_allowed(cluster, hosts, answer):
    for retries, expected in (("0", 75), ("1", 0)):
        standins.replace(hosts[1].bin, "tel-map", standins.once(standins.KILLED))
        done = cluster("--retries", retries)
        assert (done.returncode, done.stdout) == (expected, b"" if expected else answer), done.stderr
        hosts[1].mend()


def test_a_host_may_be_missing_if_that_is_said(cluster, hosts, answer, run_tool):
    name = f"{hosts[0].address}:{hosts[0].port}"
    done = cluster("--allow-missing", name)
    assert (done.returncode, done.stdout, done.stderr) == (0, answer, b"")  # it was not
    hosts[0].stop()
    done = cluster("--allow-missing", name)
    lines = " && ".join(f"tel-ls {host.folder}/store" for host in hosts[1:])
    plain = run_tool("bash", "-c", f"{{ {lines}; }} | tel-map --files-from - {JOB} | tel-reduce {JOB}")
    said = b'{"missing":["%s"]}\n' % name.encode()
    assert (done.returncode, done.stdout) == (0, plain.stdout + said) and plain.stdout != answer
    assert f"{name} is missing from the answer".encode() in done.stderr
    standins.replace(hosts[1].bin, "tel-map", standins.KILLED)
    done = cluster("--allow-missing", name)
    assert done.returncode == 75 and done.stdout == b"" and hosts[1].address.encode() in done.stderr


def test_wrong_command_lines(run_tool, tmp_path):
    hosts = tmp_path / "hosts"
    for text, words in (
        ("", ["count"]),
        ("a\n2/a\n", ["count"]),
        ("@group\n", ["count"]),
        ("a\n", []),
        ("a\n", ["count", "b"]),
        ("a\n", ["--timeout", "soon", "count"]),
        ("a\n", ["--allow-missing", "b", "count"]),
        ("a\n", ["--nothing", "count"]),
    ):
        hosts.write_text(text)
        done = run_tool(CLUSTER, "--hosts", hosts, "--store", "s", *words)
        assert (done.returncode, done.stdout) == (2, b"") and done.stderr.startswith(b"cluster-mapreduce: "), words
    assert run_tool(CLUSTER, "--hosts", tmp_path / "none", "--store", "s", "count").returncode == 66
    assert run_tool(CLUSTER, "--help").stdout.startswith(b"cluster-mapreduce - ")


@pytest.mark.slow
def test_no_random_fault_gives_another_answer(cluster, hosts, answer):
    """Processes of a host that are chosen by chance are killed, or stopped, at a moment of chance."""
    chance, failed, seconds = random.Random(1), 0, 3
    for number in range(FAULTS):
        host = chance.choice(hosts)
        tool = chance.choice(["tel-map", "tel-combine", "tel-ls", "bash", "base64"])
        fault = chance.choice(
            [standins.KILLED, standins.SHORT, standins.CUT, standins.FULL, standins.HANGING, "moment"]
        )
        if fault == "moment":  # the session is cut at some time, whatever is being done
            delay = f"{chance.uniform(0, seconds):.2f}"
            cut = standins.CUT[len(standins.HALF) :]
            fault = f'(exec > /dev/null 2>&1; sleep {delay}; {cut}) & exec "$real" "$@"'
        standins.replace(host.bin, tool, fault)
        started = time.monotonic()
        done = cluster("--timeout", "8")
        seconds = min(time.monotonic() - started, 4)
        host.mend()
        assert done.stdout in (b"", answer) and (done.returncode != 0 or done.stdout == answer), (number, tool, fault)
        assert done.returncode == 0 or host.address.encode() in done.stderr, (number, tool, fault, done.stderr)
        failed += done.returncode != 0
    assert failed > FAULTS // 2, "most faults did nothing"
    assert cluster().stdout == answer
