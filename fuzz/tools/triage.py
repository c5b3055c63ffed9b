"""From an input that broke something to a finding: it is tried again, made small, told apart from others by
its stack, and written down with a test that fails. No RFC.
"""

import hashlib
import json
import re
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from libfuzzer import RSS_LIMIT_MB, TIMEOUT_SECONDS, execute

MAX_TRIES = 2000
MAX_SECONDS = 60
FRAMES = 4
PANIC = re.compile(r"panicked at ([^\s:]+):(\d+):\d+:\n(.*)")
SUMMARY = re.compile(r"^SUMMARY: (.+)$", re.M)
FRAME = re.compile(r"^\s+\d+: (?:0x[0-9a-f]+ - )?(.+)$", re.M)
# Frames of the machinery: the language's and the fuzzer's.
NOT_OURS = re.compile(r"^<?&?\(?(std|core|alloc|libfuzzer_sys|fuzzer)::|^__|^_*rust|^LLVMFuzzer|^main$|^_start$|test_input_wrap|::FnOnce")


@dataclass(frozen=True)
class Fault:
    """What broke, without the input that did it."""

    # The panic's file and line, or what libFuzzer says of it.
    place: str
    message: str
    stack: tuple = ()

    @property
    def id(self):
        """The same for inputs that break the same thing by the same way."""
        return hashlib.sha256("\n".join([self.place, *self.stack]).encode()).hexdigest()[:8]

    @property
    def slug(self):
        """Words for a file name or a function."""
        return re.sub(r"[^a-z0-9]+", "_", self.place.lower().replace(".rs", "")).strip("_")


def fault(log):
    """What a log tells of a fault, or nothing."""
    panic, summary = PANIC.search(log), SUMMARY.search(log)
    if panic:
        # The path is shortened to where a reader finds it, whatever folder it was built in.
        file = re.sub(r"^.*?/(?=(?:[^/]+/)?src/)|^.*/registry/src/[^/]+/", "", panic[1])
        place, message = f"{file}:{panic[2]}", panic[3].strip()
    elif summary:
        # Without the addresses that change from run to run.
        place = message = re.sub(r"0x[0-9a-f]+|\d{4,}", "…", summary[1])
    else:
        return None
    names = [re.sub(r"::h[0-9a-f]{16}$", "", name) for name in FRAME.findall(log)]
    ours = [name for name in names if not NOT_OURS.search(name)]
    return Fault(place, message, tuple(ours[:FRAMES]))


def reproduce(crate, target, data, backtrace=False):
    """The fault that this input alone leads to, or nothing."""
    with tempfile.NamedTemporaryFile(prefix="fuzz-input-") as file:
        file.write(data)
        file.flush()
        run = execute([crate.binary(target), "-runs=1", f"-timeout={TIMEOUT_SECONDS}",
                       f"-rss_limit_mb={RSS_LIMIT_MB}", file.name],
                      limit=TIMEOUT_SECONDS + 60, backtrace=backtrace)
    return (fault(run.log), run.log) if run.exit_code != 0 else (None, run.log)


def minimise(data, still_breaks):
    """Takes out pieces, large ones first, then makes bytes zero, while the input still breaks the same."""
    tries, end = 0, time.monotonic() + MAX_SECONDS

    def attempt(candidate):
        nonlocal tries
        tries += 1
        return tries < MAX_TRIES and time.monotonic() < end and still_breaks(candidate)

    size = max(1, len(data) // 2)
    while size:
        at = 0
        while at < len(data):
            shorter = data[:at] + data[at + size:]
            if attempt(shorter):
                data = shorter
            else:
                at += size
        size //= 2
    for at, byte in enumerate(data):
        zeroed = data[:at] + b"\0" + data[at + 1:]
        if byte and attempt(zeroed):
            data = zeroed
    return data


def triage(crate, target, data, findings):
    """Enters an input among the findings. Returns the finding's folder and whether it is a new one."""
    found, log = reproduce(crate, target, data, backtrace=True)
    if found is None:
        found = Fault("not again", "the input broke something once and not again")
    folder = findings / f"{target}-{found.id}"
    if folder.exists() and is_open(crate, target, folder):
        return folder, False
    if folder.exists():
        # The same place breaks again, by another input than the one that was mended.
        folder.rename(folder.with_name(f"{folder.name}-mended-{int(time.time())}"))
    small = data
    if found.place != "not again":
        small = minimise(data, lambda candidate: same_place(crate, target, candidate, found))
        again, small_log = reproduce(crate, target, small, backtrace=True)
        # Smaller must not mean another fault.
        small, log = (small, small_log) if again and again.id == found.id else (data, log)
    write(crate, target, folder, found, data, small, log)
    return folder, True


def is_open(crate, target, folder):
    """Whether the finding's own input still breaks something."""
    return reproduce(crate, target, (folder / "minimised").read_bytes())[0] is not None


def same_place(crate, target, candidate, found):
    again, _ = reproduce(crate, target, candidate)
    return again is not None and again.place == found.place


def write(crate, target, folder, found, data, small, log):
    folder.mkdir(parents=True)
    (folder / "input").write_bytes(data)
    (folder / "minimised").write_bytes(small)
    (folder / "log.txt").write_text(log)
    (folder / "regression.rs").write_text(stub(crate.name, target, found, small))
    facts = {
        "target": target, "place": found.place, "message": found.message, "stack": list(found.stack),
        "bytes": len(data), "minimised_bytes": len(small), "minimised_hex": small[:2000].hex(),
        "corpus_file": f"corpus/{target}/found_{found.slug}",
        "seen": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }
    (folder / "finding.json").write_text(json.dumps(facts, indent=2) + "\n")


def stub(crate, target, found, data):
    """A test that fails until the fault is gone."""
    rows = [data[at:at + 12] for at in range(0, len(data), 12)]
    lines = "".join("        " + " ".join(f"0x{byte:02x}," for byte in row) + "\n" for row in rows)
    array = f"[\n{lines}    ]" if data else "[]"
    message = found.message.replace("\n", " ")
    return (
        f"//! Found by the fuzz target `{target}`: {found.place}: {message} No RFC.\n\n"
        "#[test]\n"
        f"fn {target}_{found.slug}() {{\n"
        f"    let input: [u8; {len(data)}] = {array};\n"
        f"    {crate}::run(\"{target}\", &input);\n"
        "}\n"
    )


def describe(folder):
    """What a person has to know of a finding."""
    facts = json.loads((folder / "finding.json").read_text())
    return (
        f"{facts['target']}: {facts['place']}: {facts['message']}\n"
        f"    {facts['minimised_bytes']} bytes: {facts['minimised_hex']}\n"
        f"    test    {folder / 'regression.rs'}\n"
        f"    corpus  cp {folder / 'minimised'} fuzz/{facts['corpus_file']}   (then name it after the fault)"
    )
