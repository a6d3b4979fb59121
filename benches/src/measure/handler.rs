//! The program as it is shipped, as a process of its own: what it costs an event.
//!
//! What is told is processor time of that process, or a rate against that of a request an event on
//! one connection; the servers are in this process and share the machine.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::pipeline::Stage;
use crate::bars::Unit;
use crate::events::EventSet;
use crate::report::Report;
use crate::rounds::Effort;
use crate::stats::Figure;

/// Name of the program; it stands beside this one.
const PROGRAM: &str = "ev-handler";
/// Lengths of the events: about 1.1 KB.
const LENGTHS: std::ops::Range<usize> = 900..1300;
/// Time that a server far away takes to answer.
const LATENCY: u64 = 25;
/// Connections of the requests with one event each.
const CONNECTIONS: usize = 8;

/// Bodies as they are, so that each cost stands for itself.
const PLAIN: &str = "gzip = \"off\"";

/// One run of the program.
#[derive(Clone, Copy, Debug)]
struct Run {
    events: usize,
    /// Processor time of the process.
    cpu: Duration,
    /// From its start to its end.
    wall: Duration,
    /// Most memory that it had in use, in bytes.
    memory: u64,
}

impl Run {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn micros_an_event(self) -> f64 {
        self.cpu.as_secs_f64() * 1e6 / self.events as f64
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn rate(self) -> f64 {
        self.events as f64 / self.wall.as_secs_f64()
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    fn mebibytes(self) -> f64 {
        self.memory as f64 / f64::from(1 << 20)
    }
}

/// Everything; each case in as many rounds as the effort says, what takes long in no more than
/// three.
pub(super) fn run(_: &[EventSet], effort: Effort, report: &mut Report) -> Result<()> {
    let (short, long) = if effort.turns == 1 { (2_000, 10_000) } else { (20_000, 1_000_000) };
    let rounds = effort.rounds.min(3);
    let stage = Stage::new(long, LENGTHS, 72)?;

    for (id, fluentd) in [("handler-cpu", PLAIN), ("handler-cpu-gzip", "gzip = \"always\"")] {
        let some = some_rounds(effort.rounds, || forward(&stage, long / 5, "array", fluentd, 500))?;
        let cpu: Vec<f64> = some.iter().map(|run| run.micros_an_event()).collect();
        report.held(id, "", Figure::least_of(&cpu));
        if id == "handler-cpu" {
            let rate: Vec<f64> = some.iter().map(|run| run.rate()).collect();
            let what = "program, events while catching up";
            report.told("handler-rate", what, "", Unit::EventsPerSecond, Figure::median_of(&rate));
        }
    }

    // What starting costs is in both, so it is the difference that is told.
    let run = |events| forward(&stage, events, "array", PLAIN, 500);
    let (mut first, mut last, mut memory) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let (few, some, many) = (run(short)?, run(long / 4)?, run(long)?);
        first.push(slope(few, some));
        last.push(slope(some, many));
        memory.push(many.mebibytes());
    }
    report.held("handler-backlog", "", Figure::ratio(&last, &first));
    report.held("handler-memory", "", Figure::median_of(&memory));

    far_receiver(&stage, rounds, short, report)?;
    far_source(rounds, short * 2, report)
}

/// Seconds of processor time of an event that only the longer run has.
#[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
fn slope(less: Run, more: Run) -> f64 {
    more.cpu.saturating_sub(less.cpu).as_secs_f64() / (more.events - less.events) as f64
}

/// With a receiver that is far away.
fn far_receiver(stage: &Stage, rounds: usize, events: usize, report: &mut Report) -> Result<()> {
    let (_, fluentd) = stage.servers();
    fluentd.set(|switches| switches.latency_ms = LATENCY);
    let single = |events, connections: usize| {
        let in_flight = format!("max-connections = {connections}");
        some_rounds(rounds, || forward(stage, events, "single", &in_flight, 500))
    };
    let rates = |runs: Vec<Run>| runs.into_iter().map(Run::rate).collect::<Vec<_>>();
    let one = rates(single(events / 100, 1)?);
    let several = rates(single(events / 10, CONNECTIONS)?);
    let arrays = rates(some_rounds(rounds, || forward(stage, events * 5, "array", PLAIN, 500))?);
    fluentd.set(|switches| switches.latency_ms = 0);
    report.held("handler-far-array", "", Figure::ratio(&arrays, &one));
    #[expect(clippy::cast_precision_loss, reason = "a handful")]
    let share = 1.0 / CONNECTIONS as f64;
    report.held("handler-far-single", "", Figure::ratio(&several, &one).scaled(share));
    Ok(())
}

/// With an Auth server that is far away, pages as small as the reference handler's, and a month to
/// catch up with.
fn far_source(rounds: usize, events: usize, report: &mut Report) -> Result<()> {
    let stage = Stage::new(events, LENGTHS, 30 * 24)?;
    let (auth, _) = stage.servers();
    auth.set(|switches| switches.latency_ms = LATENCY);
    let runs = some_rounds(rounds, || forward(&stage, events, "array", PLAIN, 20))?;
    let rates: Vec<f64> = runs.into_iter().map(Run::rate).collect();
    report.held("handler-far-source", "", Figure::median_of(&rates));
    Ok(())
}

fn some_rounds(rounds: usize, mut run: impl FnMut() -> Result<Run>) -> Result<Vec<Run>> {
    (0..rounds).map(|_| run()).collect()
}

/// Runs the program over about the last `events` events of the log, with a new state.
///
/// `receiver` are further lines in the receiver's table, and `page` is the size of a page.
#[expect(clippy::disallowed_methods, reason = "what is measured is real time")]
fn forward(stage: &Stage, events: usize, mode: &str, receiver: &str, page: usize) -> Result<Run> {
    let storage = tempfile::tempdir_in(stage.dir())?;
    let from = stage.start_of(events);
    let config =
        stage.write_config(storage.path(), mode, from, &format!("batch = {page}"), receiver)?;
    let program = std::env::current_exe()?.with_file_name(PROGRAM);
    let before = cpu_of_children()?;
    let begun = Instant::now();
    let child = Command::new(&program)
        .args(["start", "--config", &config])
        .current_dir(stage.dir())
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .with_context(|| format!("failed to start `{}`", program.display()))?;
    let memory = watch(child)?;
    let wall = begun.elapsed();
    let cpu = cpu_of_children()?.saturating_sub(before);
    let (_, fluentd) = stage.servers();
    let received = fluentd.tally().events;
    fluentd.clear();
    let received = usize::try_from(received)?;
    ensure!(received.abs_diff(events) <= events / 20 + 2, "{received} of {events} events came");
    Ok(Run { events: received, cpu, wall, memory })
}

/// Waits for the program and returns the most memory that it was seen to have, in bytes.
#[expect(clippy::disallowed_methods, reason = "it looks at another process now and then")]
fn watch(mut child: Child) -> Result<u64> {
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        if let Some(ended) = child.try_wait()? {
            ensure!(ended.success(), "the program failed: {ended}");
            return Ok(most);
        }
        // The system keeps the highest value itself, so a look now and then is enough.
        let text = std::fs::read_to_string(&status).unwrap_or_default();
        let kib = text
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .and_then(|rest| rest.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        most = most.max(kib.unwrap_or_default() * 1024);
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Processor time of all ended children together.
fn cpu_of_children() -> Result<Duration> {
    let text = std::fs::read_to_string("/proc/self/stat")?;
    // Behind the name in parentheses, which may hold anything; these are the fields 16 and 17.
    let rest = text.rsplit_once(')').context("no stat of this process")?.1;
    let ticks: u64 =
        rest.split_whitespace().skip(13).take(2).map(str::parse::<u64>).sum::<Result<u64, _>>()?;
    Ok(Duration::from_secs(ticks) / u32::try_from(rustix::param::clock_ticks_per_second())?)
}
