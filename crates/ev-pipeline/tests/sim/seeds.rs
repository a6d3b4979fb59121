//! The seeds: a fixed list for every day, many for a long night, and one that failed.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::fault::{Fault, Met};
use crate::run::{Options, Report, run};

/// Seeds of the short form: the first ones, and those that found something once.
const FIRST: u64 = 32;
const FOUND_SOMETHING: &[u64] =
    &[273, 559, 688, 709, 748, 942, 1038, 1237, 2224, 2354, 2662, 2689, 3262, 3872, 4286];
/// The same for receivers that refuse some events for ever.
const FOUND_SOMETHING_POISONED: &[u64] = &[3, 21, 51, 128, 174, 1177];

/// How many seeds the long form runs when it is not told, and for how many of those one runs with a
/// receiver that refuses some events for ever.
const MANY: u64 = 5000;
const POISONED_OF: u64 = 10;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().expect("a number"))
}

const TRACED: Options = Options { traces: true, poison_lasts: false };

fn options() -> Options {
    let is_set = |name: &str| std::env::var_os(name).is_some();
    Options { traces: is_set("EV_SIM_TRACE"), poison_lasts: is_set("EV_SIM_POISON") }
}

/// Runs all of them on as many threads as the machine has, each seed on one. Returns what went wrong
/// in them.
fn run_all(seeds: &[u64], options: Options) -> Met {
    let next = AtomicU64::new(0);
    let reports: Mutex<Vec<Report>> = Mutex::default();
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) =
                    seeds.get(usize::try_from(next.fetch_add(1, Ordering::Relaxed)).unwrap())
                {
                    let report = std::panic::catch_unwind(|| run(*seed, options));
                    let report = report.unwrap_or_else(|_| Report::of_panic(*seed, options));
                    if !report.violations.is_empty() {
                        println!("seed {seed} failed: {}", report.violations[0]);
                    }
                    reports.lock().unwrap().push(report);
                }
            });
        }
    });
    let mut reports = reports.into_inner().unwrap();
    reports.sort_by_key(|report| report.seed);
    judge(&reports);
    let mut met = Met::new();
    for (fault, count) in reports.iter().flat_map(|report| &report.met) {
        *met.entry(*fault).or_default() += count;
    }
    println!("{met:?}");
    met
}

fn judge(reports: &[Report]) {
    let sum = |of: fn(&Report) -> u64| reports.iter().map(of).sum::<u64>();
    println!(
        "{} seeds: {} events, {} lives, {} requests, {} commits, {} parked, {} duplicates, {} late \
         ones passed by, {} simulated hours",
        reports.len(),
        sum(|r| r.events as u64),
        sum(|r| r.counts.lives),
        sum(|r| r.counts.requests),
        sum(|r| r.counts.commits),
        sum(|r| r.counts.parked),
        sum(|r| r.counts.duplicates),
        sum(|r| r.counts.passed_by),
        sum(|r| r.simulated.as_secs()) / 3600,
    );
    let failed: Vec<&Report> = reports.iter().filter(|r| !r.violations.is_empty()).collect();
    for report in &failed {
        println!("seed {}:", report.seed);
        for violation in &report.violations {
            println!("    {violation}");
        }
    }
    if let Some(report) = failed.first() {
        panic!(
            "{} of {} seeds failed; replay the first with {}EV_SIM_SEED={} cargo test -p \
             ev-pipeline --test sim one_seed -- --nocapture (EV_SIM_TRACE=1 shows everything that \
             happens)",
            failed.len(),
            reports.len(),
            if report.options.poison_lasts { "EV_SIM_POISON=1 " } else { "" },
            report.seed
        );
    }
}

#[test]
fn the_fixed_seeds() {
    if number("EV_SIM_SEED").is_some() {
        return;
    }
    let seeds: Vec<u64> = (0..FIRST).chain(FOUND_SOMETHING.iter().copied()).collect();
    let met = run_all(&seeds, Options::default());
    let missing: Vec<_> = Fault::ALL.iter().filter(|fault| !met.contains_key(fault)).collect();
    assert!(missing.is_empty(), "no seed of the list meets {missing:?}");
}

#[test]
fn the_fixed_seeds_with_events_that_are_never_taken() {
    if number("EV_SIM_SEED").is_none() {
        run_all(FOUND_SOMETHING_POISONED, Options { poison_lasts: true, ..Options::default() });
    }
}

#[test]
fn one_seed() {
    let Some(seed) = number("EV_SIM_SEED") else { return };
    let report = run(seed, options());
    for line in &report.lines {
        println!("{line}");
    }
    println!("seed {seed}: trace {:016x}, {:?}", report.digest, report.counts);
    judge(&[report]);
}

#[test]
#[ignore = "a quarter of an hour; part of the slow form of the tests"]
fn many_seeds() {
    let first = number("EV_SIM_FIRST").unwrap_or(FIRST);
    let count = number("EV_SIM_SEEDS").unwrap_or(MANY);
    run_all(&(first..first + count).collect::<Vec<_>>(), options());
    let poisoned: Vec<_> = (first..first + count / POISONED_OF).collect();
    run_all(&poisoned, Options { poison_lasts: true, ..options() });
}

#[test]
fn a_seed_replays_exactly() {
    for seed in 0..4 {
        let (first, second) = (run(seed, TRACED), run(seed, TRACED));
        let differs = first.lines.iter().zip(&second.lines).find(|(a, b)| a != b);
        assert_eq!(differs, None, "seed {seed} takes another turn");
        assert_eq!(first.digest, second.digest, "seed {seed}");
        assert!(first.lines.len() > 50, "seed {seed}: something happened");
    }
    assert_ne!(run(0, TRACED).digest, run(1, TRACED).digest);
}
