//! RFC 8439 and RFC 9001 §A.5 three ways: the code in BPF, the same code on the host, the chacha20poly1305 crate.

#[path = "support/vectors.rs"]
mod vectors;

use aya::maps::{Array, MapData};
use aya::programs::{SchedClassifier, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use relay_ebpf_common::layout::PAD_BYTES;
use relay_ebpf_common::scratch::{TAG, TEXT_WORDS};
use relay_ebpf_common::trial::Trial;
use vectors::{Case, PLAIN_AT, RESULT_AT, TEXT_AT, bytes_of, words, words_of};

/// The test programs, loaded.
struct Kernel {
    ebpf: Ebpf,
}

impl Kernel {
    /// Or why not.
    fn load() -> Result<Self, String> {
        let path = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../programs/target/bpfel-unknown-none/release/qrelay_crypto"
        );
        let object =
            std::fs::read(path).map_err(|_| "the test programs are not built".to_owned())?;
        let mut ebpf = EbpfLoader::new()
            .load(&object)
            .map_err(|error| error.to_string())?;
        for (_, program) in ebpf.programs_mut() {
            let program: &mut SchedClassifier = program
                .try_into()
                .map_err(|_| "not a classifier".to_owned())?;
            program.load().map_err(|error| error.to_string())?;
        }
        Ok(Self { ebpf })
    }

    fn map(&mut self) -> Array<&mut MapData, [u64; Trial::WORDS]> {
        let map = self.ebpf.map_mut("qrelay_trial").expect("the map is there");
        Array::try_from(map).expect("it is an array")
    }

    /// One step of a trial in BPF; what stands in the map after it.
    fn run(&mut self, step: &str, trial: &Trial) -> Vec<u64> {
        self.map()
            .set(0, words(trial), 0)
            .expect("the map takes it");
        let program = self.ebpf.program_mut(step).expect("the program is there");
        let program: &mut SchedClassifier = program.try_into().expect("a classifier");
        let frame = [0; 64];
        let options = TestRunOptions {
            data_in: Some(&frame),
            ..TestRunOptions::default()
        };
        let result = program.test_run(options).expect("it runs");
        assert_eq!(result.return_value, 0);
        self.map().get(&0, 0).expect("the map gives it").to_vec()
    }
}

/// Without rights or without the programs there is nothing to test.
fn kernel() -> Option<Kernel> {
    Kernel::load()
        .map_err(|reason| println!("SKIP ({reason})"))
        .ok()
}

/// Ciphertext and tag that a step left behind.
fn text(after: &[u64], len: usize) -> Vec<u8> {
    bytes_of(&after[TEXT_AT..], len + TAG)
}

#[test]
fn rfc8439_2_8_2_on_the_host() {
    let (ladies, sealed) = Case::rfc8439();
    assert_eq!(ladies.sealed(), sealed);
    for has_pad in [true, false] {
        let mut trial = ladies.trial(has_pad);
        trial.seal();
        assert_eq!(text(&words(&trial), ladies.plain.len()), sealed);
    }
}

#[test]
fn rfc8439_2_8_2_and_rfc9001_a_5_in_the_kernel() {
    let Some(mut kernel) = kernel() else { return };
    let (ladies, sealed) = Case::rfc8439();
    let (packet, short, mask) = Case::rfc9001();
    for has_pad in [true, false] {
        let after = kernel.run(SEAL, &ladies.trial(has_pad));
        assert_eq!(text(&after, ladies.plain.len()), sealed);
        let mut trial = packet.trial(has_pad);
        let after = kernel.run(SEAL, &trial);
        assert_eq!(text(&after, 1), short);
        trial.scratch.frame.text = words_of(&short);
        let after = kernel.run(MASK, &trial);
        assert_eq!(bytes_of(&after[RESULT_AT..], 5), mask);
        assert_eq!(
            bytes_of(&after[TEXT_AT - 1..], 8)[4..],
            [0x4c, 0xfe, 0x41, 0x89]
        );
    }
}

#[test]
fn every_length_is_sealed_alike_by_kernel_host_and_crate() {
    let Some(mut kernel) = kernel() else { return };
    for (len, has_pad) in lengths() {
        let case = Case::of_len(len);
        let mut host = case.trial(has_pad);
        let after = kernel.run(SEAL, &host);
        host.seal();
        assert_eq!(text(&after, len), case.sealed(), "{len}, pad {has_pad}");
        // All the rest, too: the checksum, and nothing written where it should not.
        assert_eq!(after, words(&host), "{len}, pad {has_pad}");
        let after = kernel.run(MASK, &host);
        host.protect();
        assert_eq!(after, words(&host), "{len}, pad {has_pad}");
    }
}

#[test]
fn every_length_is_opened_alike_and_no_flipped_bit_is_authentic() {
    let Some(mut kernel) = kernel() else { return };
    for (len, has_pad) in lengths() {
        let case = Case::of_len(len);
        let mut host = case.trial(has_pad);
        host.scratch.plain = [0; TEXT_WORDS];
        host.scratch.frame.text = words_of(&case.sealed());
        let mut wrong = case.trial(has_pad);
        wrong.scratch.frame.text = host.scratch.frame.text;
        let bit = len * 7919 % ((len + TAG) * 8);
        wrong.scratch.frame.text[bit / 64] ^= 1 << (bit % 64);

        let after = kernel.run(OPEN, &host);
        host.open();
        assert_eq!(after, words(&host), "{len}, pad {has_pad}");
        assert_eq!(after[RESULT_AT], 1, "{len}, pad {has_pad}");
        assert_eq!(bytes_of(&after[PLAIN_AT..], len), case.plain);
        let after = kernel.run(OPEN, &wrong);
        wrong.open();
        assert_eq!(after, words(&wrong), "{len}, pad {has_pad}, bit {bit}");
        assert_eq!(after[RESULT_AT], 0, "{len}, pad {has_pad}, bit {bit}");
    }
}

#[test]
fn every_flipped_bit_of_a_packet_and_of_its_header_is_refused() {
    let Some(mut kernel) = kernel() else { return };
    let case = Case::of_len(40);
    let mut trial = case.trial(true);
    trial.scratch.frame.text = words_of(&case.sealed());
    for bit in 0..(40 + TAG) * 8 {
        trial.scratch.frame.text[bit / 64] ^= 1 << (bit % 64);
        assert_eq!(kernel.run(OPEN, &trial)[RESULT_AT], 0, "bit {bit}");
        trial.scratch.frame.text[bit / 64] ^= 1 << (bit % 64);
    }
    for bit in 0..8 {
        trial.first ^= 1 << bit;
        trial.cid[0] ^= 1 << bit;
        assert_eq!(kernel.run(OPEN, &trial)[RESULT_AT], 0, "header, bit {bit}");
        trial.first ^= 1 << bit;
        assert_eq!(
            kernel.run(OPEN, &trial)[RESULT_AT],
            0,
            "connection ID, bit {bit}"
        );
        trial.cid[0] ^= 1 << bit;
    }
    assert_eq!(kernel.run(OPEN, &trial)[RESULT_AT], 1);
}

fn lengths() -> impl Iterator<Item = (usize, bool)> {
    (0..=PAD_BYTES).flat_map(|len| [(len, true), (len, false)])
}

const SEAL: &str = "qrelay_try_seal";
const OPEN: &str = "qrelay_try_open";
const MASK: &str = "qrelay_try_mask";
