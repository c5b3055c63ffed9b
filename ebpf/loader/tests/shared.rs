//! Kernel and userspace at once on the same words: no packet number is taken twice (RFC 9000 §12.3), nothing is
//! read half written. Needs root and the test programs; says SKIP without.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use aya::maps::{Map, MapData};
use aya::programs::{SchedClassifier, TestRun, TestRunOptions};
use aya::{Ebpf, EbpfLoader};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use relay_ebpf_loader::area::Area;
use relay_ebpf_loader::layout::{Slot, state};
use relay_ebpf_loader::probe::probe;
use relay_ebpf_loader::word::Word;

const NUMBERS: usize = 10_000_000;
const THREADS: usize = 16;
/// How many numbers a program takes in one run.
const REPEAT: u32 = 10_000;
const READS: u64 = 1_000_000;

/// The test programs, or why there are none.
fn loaded() -> Option<Ebpf> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../programs/target/bpfel-unknown-none/release/qrelay_shared"
    );
    let skip = |why: &dyn std::fmt::Display| println!("SKIP ({why})");
    probe().map_err(|why| skip(&why)).ok()?;
    let object = std::fs::read(path);
    let object = object
        .map_err(|_| skip(&"the test programs are not built"))
        .ok()?;
    let mut loader = EbpfLoader::new();
    loader.map_max_entries("qrelay_taken", NUMBERS as u32);
    let mut ebpf = loader.load(&object).expect("the kernel takes the maps");
    for (_, program) in ebpf.programs_mut() {
        let program: &mut SchedClassifier = program.try_into().expect("TC");
        program.load().expect("the kernel takes the program");
    }
    Some(ebpf)
}

fn map<'a>(ebpf: &'a Ebpf, name: &str) -> &'a MapData {
    match ebpf.map(name) {
        Some(Map::Array(map)) => map,
        other => panic!("{name}: {other:?}"),
    }
}

/// Runs a program so many times; what its last run returned.
fn run(ebpf: &Ebpf, name: &str, repeat: u32) -> u32 {
    let program: &SchedClassifier = ebpf
        .program(name)
        .expect("it was loaded")
        .try_into()
        .expect("TC");
    let options = TestRunOptions {
        data_in: Some(&[0; 64]),
        repeat,
        ..TestRunOptions::default()
    };
    program.test_run(options).expect("it runs").return_value
}

/// Stays on one CPU.
fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).expect("there are so many");
    sched_setaffinity(Pid::from_raw(0), &set).expect("it is there");
}

fn cpus() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

#[test]
fn sixteen_threads_and_every_cpus_program_take_ten_million_numbers_each_once() {
    let Some(ebpf) = loaded() else {
        return;
    };
    let slots = Area::<Slot>::map(map(&ebpf, "qrelay_slots").fd(), 1).expect("mmapable");
    let taken = Area::<Word>::map(map(&ebpf, "qrelay_taken").fd(), NUMBERS).expect("mmapable");
    let next = &slots.all()[0].next_number;
    let in_kernel = NUMBERS / 4 / (cpus() * REPEAT as usize);
    thread::scope(|scope| {
        for cpu in 0..cpus() {
            let ebpf = &ebpf;
            scope.spawn(move || {
                pin(cpu);
                let run = |_| run(ebpf, "qrelay_try_number", REPEAT);
                assert!((0..in_kernel).map(run).all(|left_over| left_over == 0));
            });
        }
        let rest = NUMBERS - in_kernel * cpus() * REPEAT as usize;
        for thread in 0..THREADS {
            let (taken, next) = (taken.all(), next);
            let share = rest / THREADS + usize::from(thread < rest % THREADS);
            scope.spawn(move || take(share, next, taken));
        }
    });
    assert_eq!(next.load(), NUMBERS as u64);
    assert!(taken.all().iter().all(|taken| taken.load() == 1));
}

#[test]
fn a_million_reads_of_a_slot_that_is_written_all_the_time_are_whole() {
    let Some(ebpf) = loaded() else {
        return;
    };
    let slots = Area::<Slot>::map(map(&ebpf, "qrelay_slots").fd(), 1).expect("mmapable");
    let slot = &slots.all()[0];
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        // One CPU is the writer's, if there are several.
        for cpu in 0..(cpus() - 1).max(1) {
            let (ebpf, is_over) = (&ebpf, &is_over);
            scope.spawn(move || read_on(ebpf, cpu, is_over));
        }
        let mut generation = 0;
        while slot.packets.load() < READS || generation < 1000 {
            generation += 1;
            write(slot, generation);
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert_eq!(slot.refused.load(), 0, "torn");
    assert_eq!(slot.busy.load(), 0);
}

/// Takes so many numbers and notes them.
fn take(share: usize, next: &Word, taken: &[Word]) {
    for _ in 0..share {
        taken[next.add(1) as usize].add(1);
    }
}

/// Reads on one CPU until it is over.
fn read_on(ebpf: &Ebpf, cpu: usize, is_over: &AtomicBool) {
    pin(cpu);
    while !is_over.load(Ordering::Relaxed) {
        run(ebpf, "qrelay_try_torn", 1000);
    }
}

/// As userspace changes a slot: disabled, nobody inside, all new, active.
fn write(slot: &Slot, generation: u64) {
    // A barrier: a store could still be on its way when `busy` is looked at.
    slot.state.swap(generation << 8 | state::DISABLED);
    while slot.busy.load() != 0 {
        thread::yield_now();
    }
    let words = slot.key.iter().chain(&slot.iv).chain(&slot.hp);
    let words = words.chain(&slot.cid).chain(&slot.macs);
    for word in words.chain(&slot.remote_ip).chain([&slot.phase]) {
        word.store(generation);
    }
    slot.state.store(generation << 8 | state::ACTIVE);
    // Somebody must have the time to read it.
    thread::yield_now();
}
