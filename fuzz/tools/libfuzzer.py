"""Builds fuzz targets and runs them under libFuzzer: one run, its figures, the input that broke something.

No RFC. Everything here is what `cargo fuzz` does, in a form that can be run in parallel and counted.
"""

import os
import re
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

# Wall clock, so with room for a busy machine: an input that takes this long is a finding.
TIMEOUT_SECONDS = 25
RSS_LIMIT_MB = 2048
PULSE = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+)(?: corp: (\d+))?", re.M)
FINAL = re.compile(r"^stat::number_of_executed_units:\s*(\d+)", re.M)
# What a run returns when it was told to stop, or was ended because it would not: its figures are as good as any.
INTERRUPTED = (72, -signal.SIGKILL)
stopping = False
processes = set()


def stop(*_):
    """Ends all runs early; what they came to still counts."""
    global stopping
    stopping = True
    for process in list(processes):
        process.send_signal(signal.SIGINT)


@dataclass
class Crate:
    """A folder with fuzz targets, as cargo-fuzz knows it, and how to build it."""

    folder: Path
    sanitizer: str = "none"
    toolchain: str = ""

    @property
    def name(self):
        """The crate that holds the property functions, as Rust writes it."""
        manifest = (self.folder / "Cargo.toml").read_text()
        return re.search(r'^name = "([^"]+)"', manifest, re.M)[1].replace("-", "_")

    def cargo(self, *arguments):
        return ["cargo", *([f"+{self.toolchain}"] if self.toolchain else []), *map(str, arguments)]

    def targets(self):
        listed = subprocess.run(
            self.cargo("fuzz", "list", "--fuzz-dir", self.folder), capture_output=True, text=True)
        if listed.returncode != 0:
            raise SystemExit(f"{listed.stderr.strip()}\ncampaign: `.ci/setup fuzz` installs cargo-fuzz")
        return listed.stdout.split()

    def build(self):
        """All targets at once, optimised and with debug assertions. Returns the seconds that it took."""
        environment = dict(os.environ)
        if self.sanitizer != "none":
            # Sanitizers are unstable flags; this makes a stable compiler take them, too.
            environment["RUSTC_BOOTSTRAP"] = "1"
        started = time.monotonic()
        command = self.cargo("fuzz", "build", "--fuzz-dir", self.folder, "--target-dir", self.target_folder(),
                             "--sanitizer", self.sanitizer, "--debug-assertions")
        built = subprocess.run(command, env=environment, cwd=self.folder)
        if built.returncode != 0:
            raise SystemExit("campaign: the targets do not build")
        return time.monotonic() - started

    def target_folder(self):
        """Each sanitizer has a folder of its own, so that changing it does not build the other one anew."""
        base = Path(os.environ.get("CARGO_TARGET_DIR") or self.folder / "target")
        return base if self.sanitizer == "none" else base / self.sanitizer

    def binary(self, target):
        return self.target_folder() / host() / "release" / target

    def corpus(self, target):
        """What is committed; every file has a name that says what it is."""
        return self.folder / "corpus" / target

    def dictionary(self, target):
        file = self.folder / "dictionaries" / f"{target}.dict"
        return [f"-dict={file}"] if file.exists() else []


@dataclass
class Run:
    """What one run of one target came to."""

    executions: int = 0
    edges: int = 0
    features: int = 0
    cpu_seconds: float = 0.0
    wall_seconds: float = 0.0
    log: str = ""
    # Inputs that broke something.
    artifacts: list = field(default_factory=list)
    exit_code: int = 0


def host():
    """The target triple of this machine."""
    version = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    return re.search(r"^host: (.+)$", version, re.M)[1]


def figures(log):
    """(executions, edges, features) of libFuzzer's output; edges and features are those at its end."""
    pulses = PULSE.findall(log)
    executions = FINAL.search(log)
    executed = int(executions[1]) if executions else int(pulses[-1][0]) if pulses else 0
    edges, features = (int(pulses[-1][1]), int(pulses[-1][2])) if pulses else (0, 0)
    return executed, edges, features


def fuzz(crate, target, corpus, seconds, nice=0, seed=0):
    """One run: starts from `corpus` and what is committed, puts what is new into `corpus`."""
    with tempfile.TemporaryDirectory(prefix=f"fuzz-{target}-") as artifacts:
        command = [
            crate.binary(target), corpus, *committed(crate, target),
            f"-max_total_time={max(1, int(seconds))}", f"-timeout={TIMEOUT_SECONDS}",
            f"-rss_limit_mb={RSS_LIMIT_MB}", "-print_final_stats=1", "-report_slow_units=3600", f"-seed={seed}",
            f"-artifact_prefix={artifacts}/", *crate.dictionary(target),
        ]
        # On a busy machine it may take long until the corpus is read.
        run = execute(command, nice=nice, limit=seconds + 300)
        run.artifacts = [file.read_bytes() for file in sorted(Path(artifacts).iterdir())]
    if run.exit_code not in (0, *INTERRUPTED) and not run.artifacts:
        # It did not get as far as an input: that is no finding, but nothing to pass over either.
        raise SystemExit(f"campaign: {target} could not be run:\n{run.log[-2000:]}")
    return run


def merge(crate, target, into, sources, seconds):
    """Copies from `sources` the smallest files that reach as much as all of them."""
    return execute([crate.binary(target), "-merge=1", f"-timeout={TIMEOUT_SECONDS}",
                    f"-rss_limit_mb={RSS_LIMIT_MB}", into, *sources], limit=seconds)


def committed(crate, target):
    folder = crate.corpus(target)
    return [folder] if folder.is_dir() else []


def execute(command, nice=0, limit=None, backtrace=False):
    """Runs a target and counts the processor time that it alone took."""
    environment = dict(os.environ, RUST_BACKTRACE="1" if backtrace else "0")
    started = time.monotonic()
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [str(part) for part in command], stdin=subprocess.DEVNULL, stdout=output, stderr=output,
            env=environment, preexec_fn=lambda: os.nice(nice), start_new_session=True)
        processes.add(process)
        usage = wait(process, limit)
        processes.discard(process)
        output.seek(0)
        log = output.read().decode(errors="replace")
    run = Run(*figures(log), log=log, exit_code=process.returncode)
    run.cpu_seconds = usage.ru_utime + usage.ru_stime
    run.wall_seconds = time.monotonic() - started
    return run


def wait(process, limit):
    """The process's resources, once it is over; it is ended when `limit` seconds were not enough."""
    deadline = time.monotonic() + limit if limit else None
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG if deadline else 0)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return usage
        if time.monotonic() > deadline:
            process.kill()
            deadline = None
        time.sleep(0.01)
