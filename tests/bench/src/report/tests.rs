//! The report of made-up results. No RFC.
//!
//! No figure here was measured. To look at the page: `BENCH_KEEP=FOLDER cargo test -p bench report`.

use super::*;
use crate::results::{
    CostRun, Delay, DelayRun, FilmRun, GrowthPoint, Machine, SaturationRun, Stacks, Startup,
    SystemCalls, UpstreamLoss,
};

#[test]
fn all_sections_of_a_whole_run_are_on_the_page() {
    let kept = std::env::var_os("BENCH_KEEP").map(PathBuf::from);
    let folder = kept.clone().unwrap_or_else(|| scratch("whole"));
    let page = std::fs::read_to_string(write(&made_up(), &folder).unwrap()).unwrap();
    if kept.is_none() {
        std::fs::remove_dir_all(&folder).unwrap();
    }
    assert_eq!(page.matches("<section>").count(), 12);
    assert_eq!(page.matches("<svg").count(), page.matches("</svg>").count());
    // Delay and cost have a picture for each mode.
    assert_eq!(page.matches("<svg").count(), 4 * 2 + 6);
    assert!(page.contains("<p>Left out: floor: no reason</p>"));
    assert!(!page.contains("NaN") && !page.contains("inf\""));
    for from_elsewhere in ["<script", "src=", "href=", "url("] {
        assert!(!page.contains(from_elsewhere), "{from_elsewhere}");
    }
}

#[test]
fn every_colour_of_the_pictures_has_one_for_the_dark() {
    let page = page::page(
        &made_up(),
        &aims::table(&made_up()),
        &sections(&made_up()).unwrap(),
    );
    let (style, pictures) = page.split_once("</style>").unwrap();
    for attribute in ["fill", "stroke"] {
        for value in pictures.split(&format!("{attribute}=\"#")).skip(1) {
            let rule = format!("svg [{attribute}=\"#{}\"]", &value[..6]);
            assert!(style.contains(&rule), "{rule}");
        }
    }
}

#[test]
fn a_run_without_data_is_a_page_of_aims() {
    let folder = scratch("empty");
    let page = std::fs::read_to_string(write(&Results::default(), &folder).unwrap()).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    assert_eq!(page.matches("<section>").count(), 1);
    assert!(!page.contains("<svg") && page.contains("not measured"));
}

#[test]
fn a_run_of_one_path_and_one_message_is_drawn() {
    let delay = vec![delay_run("kernel", (1, "datagram", 0), vec![(9, 12_000)])];
    let results = Results {
        delay,
        ..Results::default()
    };
    let sections = sections(&results).unwrap();
    let titles = sections
        .iter()
        .map(|section| section.title)
        .collect::<Vec<_>>();
    assert_eq!(titles, ["One-way delay, one subscriber"]);
}

#[test]
fn figures_of_zero_are_drawn() {
    let case = (1, "datagram", 0);
    let paths = ["plain IP", "kernel", "quinn"];
    let nothing = |path: &'static str| ((path, 0.0, 0.0, 0.0), path.to_owned());
    let mut results = Results::default();
    for (zero, path) in ["kernel", "a path without a colour"].map(nothing) {
        results.cost.push(cost(zero, case, &mut Dice(1)));
        let run = SaturationRun {
            path: path.clone(),
            subscribers: 1,
            ..SaturationRun::default()
        };
        results.saturation.push(run);
        results.growth.push(GrowthPoint {
            path: path.clone(),
            ..GrowthPoint::default()
        });
        results.startup.push(Startup {
            path,
            round: 0,
            ms: vec![0.0],
        });
    }
    results
        .delay
        .extend(paths.map(|path| delay_run(path, case, vec![(0, 0)])));
    let text = page::page(
        &results,
        &aims::table(&results),
        &sections(&results).unwrap(),
    );
    assert_eq!(text.matches("<section>").count(), 8);
    assert!(!text.contains("NaN") && !text.contains("inf"));
}

#[test]
fn the_terminal_gets_the_same_tables() {
    let text = summary(&made_up());
    for table in sections(&made_up())
        .unwrap()
        .iter()
        .flat_map(Section::tables)
    {
        assert!(text.contains(&table.title), "{}", table.title);
    }
    let json = table(&made_up());
    let tables = json["tables"].as_array().unwrap();
    assert_eq!(tables.len(), tables_of(&made_up()));
    let saturation = tables
        .iter()
        .find(|table| table["title"].to_string().contains("Saturation"));
    let row = &saturation.unwrap()["rows"][0];
    assert!(row["packets/s before loss"].is_f64() && row["path"] == "kernel");
    assert!(text.contains("\nLeft out: floor: no reason\n"));
    assert_eq!(json["left_out"][0], "floor: no reason");
    assert!(text.contains(" reached\n") && text.contains("not reached\n"));
}

fn tables_of(results: &Results) -> usize {
    let page = page::page(results, &aims::table(results), &sections(results).unwrap());
    page.matches("<table>").count()
}

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("bench-report-{name}-{}", std::process::id()))
}

/// The made-up paths: what each adds with one subscriber, what each copy takes, both in nanoseconds, and what a
/// packet costs in microseconds.
const PATHS: [(&str, f64, f64, f64); 7] = [
    ("plain IP", 0.0, 100.0, 0.8),
    ("kernel", 9_000.0, 1_800.0, 2.6),
    ("kernel, clear", 7_000.0, 1_000.0, 1.6),
    ("userspace", 70_000.0, 5_000.0, 7.0),
    ("userspace, no GSO", 75_000.0, 6_000.0, 8.5),
    ("quinn", 55_000.0, 16_000.0, 9.0),
    ("quinn, no GSO", 58_000.0, 18_000.0, 14.0),
];

/// Subscribers and mode; plain IP has the first only.
const CASES: [(u64, &str); 6] = [
    (1, "datagram"),
    (10, "datagram"),
    (100, "datagram"),
    (1, "stream"),
    (10, "stream"),
    (100, "stream"),
];

fn made_up() -> Results {
    let mut results = Results {
        machine: Machine {
            cpus: 2,
            kernel: "6.18".to_owned(),
            model: "made up".to_owned(),
            mhz: 2600.0,
        },
        seconds: 600.0,
        left_out: vec!["floor: no reason".to_owned()],
        ..Results::default()
    };
    let mut dice = Dice(1);
    for (place, path) in PATHS.into_iter().enumerate() {
        for round in 0..3 {
            for case in CASES.iter().filter(|case| place > 0 || **case == CASES[0]) {
                let case = (case.0, case.1, round);
                results.delay.push(delays(path, case, &mut dice));
                results.cost.push(cost(path, case, &mut dice));
            }
            if place > 0 {
                results.saturation.extend(steps(path, round, &mut dice));
                let many = [100, 1000, 2000]
                    .map(|count| cost(path, (count, "datagram", round), &mut dice));
                results.scale.extend(many);
            }
        }
        if place > 0 {
            once(path, &mut results, &mut dice);
        }
    }
    results
}

/// An entry of `PATHS`.
type MadeUp = (&'static str, f64, f64, f64);

fn delays(path: MadeUp, (subscribers, mode, round): (u64, &str, u64), dice: &mut Dice) -> DelayRun {
    let (name, adds, copy, _) = path;
    let adds = if mode == "stream" { adds * 1.6 } else { adds };
    let mut of = |more: f64| {
        let delay = |seq| (seq, (dice.skewed(20_000.0 + adds) + more) as u64);
        (0..500).map(delay).collect::<Vec<Delay>>()
    };
    let (first, last) = (of(0.0), of(copy * subscribers as f64));
    let application = first.iter().map(|(seq, ns)| (*seq, ns + 12_000)).collect();
    let run = delay_run(name, (subscribers, mode, round), first);
    DelayRun {
        last,
        application,
        ..run
    }
}

fn delay_run(
    path: &str,
    (subscribers, mode, round): (u64, &str, u64),
    first: Vec<Delay>,
) -> DelayRun {
    let (path, mode) = (path.to_owned(), mode.to_owned());
    DelayRun {
        path,
        subscribers,
        mode,
        round,
        first,
        ..DelayRun::default()
    }
}

fn cost(path: MadeUp, (subscribers, mode, round): (u64, &str, u64), dice: &mut Dice) -> CostRun {
    let (name, _, _, copy) = path;
    let kernel = name.starts_with("kernel");
    let all = dice.skewed(copy + copy * 6.0 / subscribers as f64);
    let share = if kernel { 0.2 } else { 0.8 };
    let bpf = if kernel { all * 0.5 } else { 0.0 };
    CostRun {
        path: name.to_owned(),
        subscribers,
        mode: mode.to_owned(),
        round,
        forwarded: 10_000 * subscribers,
        process_us: all * share,
        interrupt_us: all * (1.0 - share) - bpf,
        bpf_us: bpf,
        per_packet_us: all,
        system_calls: (name != "plain IP").then_some(if kernel {
            900
        } else {
            20_000 * subscribers
        }),
        share_from_kernel: kernel.then_some(0.98),
        skipped: 3,
        lost: 7,
        receivers_us: 4.0,
        source_us: 3.0,
    }
}

fn steps((path, _, _, copy): MadeUp, round: u64, dice: &mut Dice) -> Vec<SaturationRun> {
    let mut steps = Vec::new();
    for subscribers in [1, 10, 100, 1000] {
        let most = 1e6 / dice.skewed(copy + copy * 3.0 / subscribers as f64);
        for offered_per_second in [most * 0.6, most * 0.95, most * 1.8] {
            let packets_per_second = offered_per_second.min(most);
            steps.push(SaturationRun {
                path: path.to_owned(),
                subscribers,
                round,
                offered_per_second,
                packets_per_second,
                gbit_per_second: packets_per_second * 9600.0 / 1e9,
                per_packet_us: 1e6 / most,
                share_from_kernel: path.starts_with("kernel").then_some(0.9),
                share_lost: 1.0 - packets_per_second / offered_per_second,
                receivers_us: 1.1,
                source_us: 0.4,
            });
        }
    }
    steps
}

fn once((path, adds, _, copy): MadeUp, results: &mut Results, dice: &mut Dice) {
    let path = path.to_owned();
    for idle in [0, 500, 1000, 2000] {
        let rss_kib = 9000 + (idle as f64 * copy * 6.0) as u64;
        results.growth.push(GrowthPoint {
            path: path.clone(),
            idle,
            rss_kib,
        });
    }
    let names = [
        "epoll_wait",
        "recvmsg",
        "sendmsg",
        "futex",
        "clock_nanosleep",
        "read",
        "write",
    ];
    let names = names
        .into_iter()
        .enumerate()
        .map(|(place, name)| (name.to_owned(), 30_000 / (place as u64 + 1)));
    results.system_calls.push(SystemCalls {
        path: path.clone(),
        subscribers: 1,
        forwarded: 30_000,
        seconds: 30.0,
        total: 77_000,
        names: names.collect(),
    });
    let behind_ns = (0..200)
        .map(|_| dice.skewed(20_000.0 + adds * 40.0) as u64)
        .collect();
    results.upstream_loss.push(UpstreamLoss {
        path: path.clone(),
        behind_ns,
    });
    let ms = (0..20)
        .map(|_| dice.skewed(2.0 + adds / 20_000.0))
        .collect();
    results.startup.push(Startup {
        path: path.clone(),
        round: 0,
        ms,
    });
    results.film.push(film_run(&path, adds, dice));
    results.stacks.push(stacks(path));
}

fn film_run(path: &str, adds: f64, dice: &mut Dice) -> FilmRun {
    let last = (0..50).map(|seq| (seq * 20, dice.skewed(90_000.0 + adds) as u64));
    FilmRun {
        path: path.to_owned(),
        subscribers: 10,
        frames: 50,
        messages: 1000,
        last: last.collect(),
        lost: 20,
        ..FilmRun::default()
    }
}

fn stacks(path: String) -> Stacks {
    let top = [("poly1305", 0.3), ("<a as b>::c", 0.1)];
    let top = top.map(|(name, share)| (name.to_owned(), share)).into();
    Stacks {
        path,
        subscribers: 100,
        rate: 4000.0,
        samples: 3000,
        top,
        missing: None,
    }
}

/// Figures that look like measured ones, the same in each run.
struct Dice(u64);

impl Dice {
    /// Around a figure, more often little above than far.
    fn skewed(&mut self, middle: f64) -> f64 {
        let sum = (0..6).map(|_| self.unit()).sum::<f64>() / 6.0;
        let tail = if self.unit() > 0.97 {
            1.0 + self.unit() * 2.0
        } else {
            1.0
        };
        middle * (0.7 + 0.6 * sum) * tail
    }

    fn unit(&mut self) -> f64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1u64 << 24) as f64
    }
}
