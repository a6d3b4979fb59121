//! The results: one table for people, JSON for whoever compares runs.

use std::fmt::Write as _;

use serde::Serialize;

use crate::bars::{BARS, Side, Unit, bar};
use crate::stats::Figure;

/// Everything that was measured in one run.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Report {
    /// Where it ran and how.
    pub setting: Setting,
    /// Figures that have a bar, or are ratios worth knowing.
    pub lines: Vec<Line>,
    /// Absolute times, as information: they do not hold on other machines.
    pub times: Vec<Absolute>,
}

/// Where and how a run was made.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Setting {
    /// Operating system and architecture.
    pub platform: String,
    /// Processors that the program may use.
    pub processors: usize,
    /// Whether it was compiled with optimisation.
    pub optimised: bool,
    /// Number of rounds.
    pub rounds: usize,
    /// Whether the rounds were shortened: such a run proves nothing.
    pub quick: bool,
}

/// One figure.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The bar's id, or an id of its own.
    pub id: &'static str,
    /// What was measured.
    pub what: String,
    /// Event set or variant; empty if there is but one.
    pub set: String,
    /// Its unit.
    pub unit: Unit,
    /// The figure with its spread.
    #[serde(flatten)]
    pub figure: Figure,
    /// What must be reached.
    pub bar: Option<f64>,
    /// What one would like to reach.
    pub aim: Option<f64>,
    /// Which side of them is good.
    pub side: Option<Side>,
    /// Whether the bar is reached.
    pub met: Option<bool>,
}

/// An absolute time.
#[derive(Clone, Debug, Serialize)]
pub struct Absolute {
    /// What ran.
    pub case: &'static str,
    /// On which event set.
    pub set: String,
    /// Nanoseconds an event, with their spread.
    #[serde(flatten)]
    pub nanoseconds: Figure,
    /// Events in a second.
    pub events_per_second: f64,
    /// Bytes of wire in a second.
    pub bytes_per_second: f64,
}

impl Report {
    /// Adds a figure that has a bar.
    pub fn held(&mut self, id: &'static str, set: &str, figure: Figure) {
        let bar = bar(id);
        self.lines.push(Line {
            id,
            what: bar.what.to_owned(),
            set: set.to_owned(),
            unit: bar.unit,
            figure,
            bar: Some(bar.bar),
            aim: bar.aim_for(set),
            side: Some(bar.side),
            met: Some(bar.side.holds(figure.value, bar.bar)),
        });
    }

    /// Adds a figure that is only told.
    pub fn told(&mut self, id: &'static str, what: &str, set: &str, unit: Unit, figure: Figure) {
        self.lines.push(Line {
            id,
            what: what.to_owned(),
            set: set.to_owned(),
            unit,
            figure,
            bar: None,
            aim: None,
            side: None,
            met: None,
        });
    }

    /// Adds an absolute time: seconds for `events` events of `bytes` bytes together.
    pub fn time(
        &mut self,
        case: &'static str,
        set: &str,
        seconds: &[f64],
        events: usize,
        bytes: usize,
    ) {
        let figure = Figure::median_of(seconds);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let (events, bytes) = (events as f64, bytes as f64);
        self.times.push(Absolute {
            case,
            set: set.to_owned(),
            nanoseconds: figure.scaled(1e9 / events),
            events_per_second: events / figure.value,
            bytes_per_second: bytes / figure.value,
        });
    }

    /// The lines whose bar is missed.
    pub fn missed(&self) -> impl Iterator<Item = &Line> {
        self.lines.iter().filter(|line| line.met == Some(false))
    }

    /// The bars that nothing was measured for.
    pub fn unmeasured(&self) -> impl Iterator<Item = &'static str> {
        let measured = |id| self.lines.iter().any(|line| line.id == id);
        BARS.iter().map(|bar| bar.id).filter(move |id| !measured(*id))
    }

    /// The table, with absolute times below.
    pub fn table(&self) -> String {
        let mut text = String::new();
        self.write(&mut text).expect("a string takes what is written to it");
        text
    }

    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Setting { platform, processors, optimised, rounds, quick } = &self.setting;
        writeln!(
            text,
            "{platform}, {processors} processors, {rounds} rounds: ratios of medians, single durations the least"
        )?;
        if *quick {
            writeln!(text, "QUICK: short rounds, the figures prove nothing")?;
        }
        if !optimised {
            writeln!(text, "NOT OPTIMISED: the figures mean nothing")?;
        }
        writeln!(
            text,
            "\n{:<52} {:<29} {:>10} {:>21}  {:>9} {:>9}  met",
            "ratio", "set", "measured", "rounds from–to", "bar", "aim"
        )?;
        for line in &self.lines {
            line.write(text)?;
        }
        if !self.times.is_empty() {
            writeln!(
                text,
                "\n{:<22} {:<28} {:>12} {:>23} {:>12} {:>10}",
                "time", "set", "ns/event", "rounds from–to", "events/s", "MB/s"
            )?;
        }
        for time in &self.times {
            let Figure { value, low, high } = time.nanoseconds;
            let spread = format!("{}–{}", number(low), number(high));
            writeln!(
                text,
                "{:<22} {:<28} {:>12} {spread:>23} {:>12.0} {:>10.1}",
                time.case,
                time.set,
                number(value),
                time.events_per_second,
                time.bytes_per_second / 1e6
            )?;
        }
        Ok(())
    }
}

impl Line {
    fn write(&self, text: &mut String) -> std::fmt::Result {
        let Figure { value, low, high } = self.figure;
        let measured = format!("{} {}", number(value), self.unit.symbol());
        let spread =
            if low < high { format!("{}–{}", number(low), number(high)) } else { String::new() };
        let limit = |limit: Option<f64>| match (limit, self.side) {
            (Some(limit), Some(side)) => format!("{} {}", side.sign(), number(limit)),
            _ => String::new(),
        };
        let met = match (self.met, self.aim.zip(self.side)) {
            (None, _) => "",
            (Some(false), _) => "NO",
            (Some(true), Some((aim, side))) if side.holds(value, aim) => "yes, aim too",
            (Some(true), _) => "yes",
        };
        let row = format!(
            "{:<52} {:<29} {measured:>10} {spread:>21}  {:>9} {:>9}  {met}",
            self.what,
            self.set,
            limit(self.bar),
            limit(self.aim),
        );
        writeln!(text, "{}", row.trim_end())
    }
}

/// Three digits or so.
fn number(value: f64) -> String {
    let digits = match value.abs() {
        v if v >= 100.0 || v.fract() == 0.0 => 0,
        v if v >= 10.0 => 1,
        _ => 2,
    };
    format!("{value:.digits$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missed_bar_is_named_and_a_met_one_is_not() {
        let mut report = Report::default();
        report.held("reflect-serde", "small", Figure::exact(9.9));
        report.held("reflect-serde", "mixed", Figure::exact(21.0));
        report.held("guest-memory", "", Figure::exact(32.0));
        report.held("fresh-instance", "", Figure::exact(f64::NAN));
        report.told("typed", "some ratio", "small", Unit::Times, Figure::exact(0.0));
        let missed: Vec<_> = report.missed().map(|line| (line.id, &*line.set)).collect();
        assert_eq!(missed, [("reflect-serde", "small"), ("fresh-instance", "")]);
    }

    #[test]
    fn a_bar_that_nobody_measured_is_named() {
        let mut report = Report::default();
        assert_eq!(report.unmeasured().count(), BARS.len());
        report.held("allocations", "", Figure::exact(0.0));
        assert!(!report.unmeasured().any(|id| id == "allocations"));
    }

    #[test]
    fn the_table_says_what_was_met() {
        let mut report = Report::default();
        report.held("bare-walk", "small", Figure { value: 3.5, low: 3.4, high: 3.6 });
        report.held("bare-walk", "medium", Figure { value: 5.0, low: 4.9, high: 5.25 });
        report.held("bare-walk", "large", Figure { value: 7.0, low: 6.0, high: 8.0 });
        report.time("native", "small", &[1e-3], 1000, 500_000);
        let table = report.table();
        let row = |set: &str| {
            let row = table.lines().find(|line| line.contains(set)).expect("a row");
            row.split_whitespace().collect::<Vec<_>>().join(" ")
        };
        assert!(row("small").ends_with("3.50 × 3.40–3.60 ≤ 6 ≤ 4 yes, aim too"), "{table}");
        assert!(row("medium").ends_with("5 × 4.90–5.25 ≤ 6 ≤ 4 yes"), "{table}");
        assert!(row("large").ends_with("NO"), "{table}");
        assert!(table.contains("1000000"), "{table}");
    }

    #[test]
    fn numbers_have_about_three_digits() {
        let texts = [0.0, 1.234, 12.34, 123.4, 12_345.6].map(number);
        assert_eq!(texts, ["0", "1.23", "12.3", "123", "12346"]);
    }
}
