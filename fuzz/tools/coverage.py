"""An HTML report of the lines that the corpora reach: the committed ones and what a campaign added. No RFC.

It needs no fuzzer and no nightly compiler: the properties are built once with `-Cinstrument-coverage` and run over
the files. It needs llvm-profdata and llvm-cov of the compiler's LLVM: `rustup component add llvm-tools`, or a
distribution's package llvm-N.
"""

import os
import re
import subprocess
from pathlib import Path

from libfuzzer import committed, host

# Only this project's sources, without the properties and tests themselves.
IGNORED = r"(/registry/|/rustc/|/\.rustup/|/fuzz/|/tests?/|tests\.rs$)"

# A file, after regions and functions its lines and those of them that were missed.
ROW = re.compile(r"^(\S+\.rs)(?:\s+\d+\s+\d+\s+\S+){2}\s+(\d+)\s+(\d+)", re.M)


def report(crate, state, targets):
    profdata, cov = tools()
    folder = state.folder / "coverage"
    folder.mkdir(exist_ok=True)
    binary = build(crate)
    profiles = []
    for target in targets:
        profile = folder / f"{target}.profraw"
        profile.unlink(missing_ok=True)
        environment = dict(os.environ, LLVM_PROFILE_FILE=str(profile))
        replayed = subprocess.run([binary, target, state.corpus(target), *committed(crate, target)], env=environment)
        if replayed.returncode != 0:
            print(f"campaign: {target}: a file of its corpus breaks it; its lines are left out")
        else:
            profiles.append(profile)
    merged = folder / "all.profdata"
    subprocess.run([profdata, "merge", "-sparse", *profiles, "-o", merged], check=True)
    common = [binary, f"-instr-profile={merged}", f"-ignore-filename-regex={IGNORED}"]
    html = folder / "html"
    subprocess.run([cov, "show", *common, "-format=html", f"-output-dir={html}", "-show-line-counts-or-regions"],
                   check=True)
    text = subprocess.run([cov, "report", *common], check=True, capture_output=True, text=True).stdout
    (folder / "report.txt").write_text(text)
    for module, (lines, missed) in modules(text).items():
        print(f"{module:<32} {lines:>6} lines {100 * (lines - missed) / lines:>6.1f} % reached")
    print(f"{html / 'index.html'}\n{folder / 'report.txt'}")
    return 0


def modules(text):
    """(lines, missed lines) of each module of each crate, out of llvm-cov's table of files."""
    sums = {}
    for name, lines, missed in ROW.findall(text):
        crate, _, inside = name.removesuffix(".rs").partition("/src/")
        key = f"{crate}/src/{inside.split('/')[0]}"
        before = sums.get(key, (0, 0))
        sums[key] = (before[0] + int(lines), before[1] + int(missed))
    return {key: sum for key, sum in sums.items() if sum[0]}


def build(crate):
    """The replay of the corpus, instrumented."""
    target_folder = crate.target_folder() / "coverage"
    # With --target, so that build scripts are left alone.
    subprocess.run(
        crate.cargo("build", "--release", "--manifest-path", crate.folder / "Cargo.toml", "--example", "replay",
                    "--target", host(), "--target-dir", target_folder),
        env=dict(os.environ, RUSTFLAGS="-Cinstrument-coverage"), check=True)
    return target_folder / host() / "release" / "examples" / "replay"


def tools():
    """llvm-profdata and llvm-cov, of rustup or of the distribution; a version that reads what rustc writes."""
    version = subprocess.run(["rustc", "-vV"], capture_output=True, text=True, check=True).stdout
    major = re.search(r"^LLVM version: (\d+)", version, re.M)[1]
    sysroot = subprocess.run(["rustc", "--print", "sysroot"], capture_output=True, text=True, check=True).stdout
    places = [Path(sysroot.strip()) / "lib" / "rustlib" / host() / "bin", Path(f"/usr/lib/llvm-{major}/bin")]
    for place in places:
        if (place / "llvm-profdata").exists() and (place / "llvm-cov").exists():
            return place / "llvm-profdata", place / "llvm-cov"
    raise SystemExit(f"campaign: no llvm-cov {major}: `rustup component add llvm-tools`, or the package llvm-{major}")
