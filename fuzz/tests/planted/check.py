#!/usr/bin/env python3
"""The campaign itself, tested: it has to find faults that were planted, and to say the right things of them. No RFC.

`make fuzz` runs this first. It needs what the campaign needs, and takes a few seconds once libFuzzer is built.
"""

import fcntl
import json
import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

HERE = Path(__file__).resolve().parent
FUZZ = HERE.parent.parent
sys.dont_write_bytecode = True
sys.path.insert(0, str(FUZZ / "tools"))

import coverage  # noqa: E402
import libfuzzer  # noqa: E402
import triage  # noqa: E402

# The targets share what is built of libFuzzer with the real ones.
TARGET_FOLDER = Path(os.environ.get("CARGO_TARGET_DIR") or FUZZ / "target")
ENVIRONMENT = dict(os.environ, CARGO_TARGET_DIR=str(TARGET_FOLDER))


def campaign(state, *arguments):
    command = [FUZZ / "campaign", "--fuzz-dir", HERE, "--state", state, *arguments]
    return subprocess.run(list(map(str, command)), env=ENVIRONMENT, capture_output=True, text=True)


class Planted(unittest.TestCase):
    """One campaign over a target with two faults and one with none. A run ends at its first finding, and which of the
    two faults comes first is a matter of luck: further rounds, until both are found or ten are over."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory(prefix="fuzz-planted-")
        cls.state = Path(cls.folder.name) / "state"
        cls.first = campaign(cls.state, "run", "--seconds", "3", "--rounds", "1")
        cls.once = cls.table()
        cls.rounds = 1
        while cls.rounds == 1 or (cls.rounds < 10 and len(list((cls.state / "findings").iterdir())) < 2):
            campaign(cls.state, "run", "--seconds", "3", "--rounds", "1")
            cls.rounds += 1
        cls.twice = cls.table()
        cls.findings = {
            facts["stack"][0].split("::")[-1]: (folder, facts)
            for folder in sorted((cls.state / "findings").iterdir())
            for facts in [json.loads((folder / "finding.json").read_text())]
        }

    @classmethod
    def tearDownClass(cls):
        cls.folder.cleanup()

    @classmethod
    def table(cls):
        rows = json.loads(campaign(cls.state, "table", "--json").stdout)
        return {row["target"]: row for row in rows}

    def test_each_fault_is_one_finding_however_many_inputs_lead_to_it(self):
        self.assertEqual(set(self.findings), {"refuse", "beyond"}, self.first.stdout + self.first.stderr)
        self.assertEqual(len(list((self.state / "findings").iterdir())), 2)
        self.assertEqual((self.twice["planted"]["findings"], self.twice["sound"]["findings"]), (2, 0))

    def test_the_smallest_input_is_kept(self):
        # The index is beyond the end whatever the first byte is, so nothing but the three bytes is left.
        for fault, expected in [("refuse", b"QUA"), ("beyond", b"QUB")]:
            folder, facts = self.findings[fault]
            self.assertEqual((folder / "minimised").read_bytes(), expected)
            self.assertEqual(facts["minimised_hex"], expected.hex())

    def test_figures_add_up_over_rounds(self):
        for target in ["planted", "sound"]:
            once, twice = self.once[target], self.twice[target]
            self.assertGreater(once["executions"], 0)
            self.assertGreater(twice["executions"], once["executions"])
            # A fault that is found at once costs less than is shown.
            least = once["cpu_seconds"] + (1 if target == "sound" else 0)
            self.assertGreaterEqual(twice["cpu_seconds"], least)
            self.assertEqual((once["runs"], twice["runs"]), (1, self.rounds))
        self.assertEqual(self.twice["total"]["findings"], 2)

    def test_the_second_round_starts_from_the_corpus_of_the_first(self):
        self.assertGreater(len(list((self.state / "corpus" / "planted").iterdir())), 0)

    def test_the_stub_is_a_test_that_fails_by_the_fault(self):
        copy = Path(self.folder.name) / "copy"
        shutil.copytree(HERE, copy)
        (copy / "tests").mkdir()
        for folder, facts in self.findings.values():
            shutil.copy(folder / "regression.rs", copy / "tests" / "regression.rs")
            test = subprocess.run(
                ["cargo", "test", "--manifest-path", str(copy / "Cargo.toml"), "--test", "regression"],
                env=dict(ENVIRONMENT, CARGO_TARGET_DIR=str(TARGET_FOLDER / "planted")), capture_output=True, text=True)
            self.assertIn("test result: FAILED. 0 passed; 1 failed", test.stdout, test.stderr)
            self.assertIn(facts["place"], test.stdout)

    def test_a_smoke_run_fails_by_a_finding_and_passes_without(self):
        state = Path(self.folder.name) / "smoke"
        broken = campaign(state, "smoke", "--seconds", "3")
        self.assertEqual(broken.returncode, 1)
        self.assertEqual(broken.stdout.splitlines()[-1], "1 passed, 1 failed")
        sound = campaign(state, "smoke", "--seconds", "1", "sound")
        self.assertEqual((sound.returncode, sound.stdout.splitlines()[-1]), (0, "1 passed, 0 failed"))

    def test_an_input_from_elsewhere_is_told_apart(self):
        file = Path(self.folder.name) / "from-elsewhere"
        file.write_bytes(b"before QUA behind")
        self.assertIn("known", campaign(self.state, "triage", "planted", file).stdout)
        file.write_bytes(b"nothing wrong")
        self.assertIn("once and not again", campaign(Path(self.folder.name) / "new", "triage", "planted", file).stdout)

    def test_two_campaigns_do_not_share_a_state(self):
        state = Path(self.folder.name) / "locked"
        state.mkdir()
        with open(state / "lock", "w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            refused = campaign(state, "table")
        self.assertNotEqual(refused.returncode, 0)
        self.assertIn("another one works", refused.stderr)


class Parsing(unittest.TestCase):
    LOG = (
        "#2\tINITED cov: 12 ft: 13 corp: 1/1b exec/s: 0 rss: 30Mb\n"
        "#4096\tpulse  cov: 14 ft: 20 corp: 4/9b lim: 43 exec/s: 2048 rss: 41Mb\n"
        "#5000\tDONE   cov: 15 ft: 22 corp: 5/9b lim: 43 exec/s: 2048 rss: 41Mb\n"
    )

    def test_figures_are_those_at_the_end(self):
        self.assertEqual(libfuzzer.figures(self.LOG), (5000, 15, 22))
        self.assertEqual(libfuzzer.figures(self.LOG + "stat::number_of_executed_units: 5001\n"), (5001, 15, 22))
        self.assertEqual(libfuzzer.figures(""), (0, 0, 0))

    def test_a_fault_is_named_by_its_place_whatever_folder_it_was_built_in(self):
        here = triage.fault("thread 'main' (7) panicked at /some/where/quic-lite/src/a.rs:3:5:\nmessage 1\n")
        there = triage.fault("thread 'main' (8) panicked at /else/quic-lite/src/a.rs:3:9:\nmessage 2\n")
        self.assertEqual((here.place, here.message), ("quic-lite/src/a.rs:3", "message 1"))
        self.assertEqual(here.id, there.id)

    def test_what_is_no_panic_is_named_by_the_summary(self):
        hung = triage.fault("ALARM\n==9== ERROR: libFuzzer: timeout after 25 seconds\nSUMMARY: libFuzzer: timeout\n")
        self.assertEqual(hung.place, "libFuzzer: timeout")
        self.assertIsNone(triage.fault("nothing\n"))

    def test_lines_are_summed_up_by_module(self):
        table = (
            "Filename  Regions  Missed Regions  Cover  Functions  Missed Functions  Executed  Lines  Missed Lines  Cover\n"
            "---\n"
            "a/src/wire.rs         7  1  85.71%  2  0  100.00%  14  0  100.00%  0  0  -\n"
            "a/src/wire/varint.rs  7  1  85.71%  2  0  100.00%  20  5   75.00%  0  0  -\n"
            "a/src/lib.rs          7  1  85.71%  2  0  100.00%   9  9    0.00%  0  0  -\n"
            "TOTAL                21  3  85.71%  6  0  100.00%  43 14   67.44%  0  0  -\n"
        )
        self.assertEqual(coverage.modules(table), {"a/src/wire": (34, 5), "a/src/lib": (9, 9)})

    def test_minimising_keeps_what_is_needed_and_no_more(self):
        needed = lambda data: b"ab" in data and data.endswith(b"z")
        self.assertEqual(triage.minimise(b"xxxxabyyyyyyz", needed), b"abz")


if __name__ == "__main__":
    unittest.main(verbosity=0)
