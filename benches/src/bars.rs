//! What has to be reached, as data: every bar and aim stands in [`BARS`] and nowhere else.

use serde::Serialize;

/// Whether more or less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// The figure has to be the limit or more.
    AtLeast,
    /// The figure has to be the limit or less.
    AtMost,
}

impl Side {
    /// Whether `value` is on this side of `limit`. What is not a number is on no side.
    pub fn holds(self, value: f64, limit: f64) -> bool {
        match self {
            Self::AtLeast => value >= limit,
            Self::AtMost => value <= limit,
        }
    }

    /// The sign in tables.
    pub fn sign(self) -> char {
        match self {
            Self::AtLeast => '≥',
            Self::AtMost => '≤',
        }
    }
}

/// What a figure is counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A ratio.
    Times,
    /// Nanoseconds.
    Nanoseconds,
    /// Milliseconds.
    Milliseconds,
    /// Microseconds.
    Microseconds,
    /// 1,000 bytes.
    Kilobytes,
    /// 1,048,576 bytes.
    Mebibytes,
    /// A number of things.
    Count,
    /// Events in a second.
    EventsPerSecond,
    /// Records in a second.
    RecordsPerSecond,
    /// Connections in a second.
    ConnectionsPerSecond,
}

impl Unit {
    /// How it is written behind a number.
    pub fn symbol(self) -> &'static str {
        match self {
            Self::Times => "×",
            Self::Nanoseconds => "ns",
            Self::Milliseconds => "ms",
            Self::Microseconds => "µs",
            Self::Kilobytes => "KB",
            Self::Mebibytes => "MiB",
            Self::Count => "",
            Self::EventsPerSecond => "events/s",
            Self::RecordsPerSecond => "records/s",
            Self::ConnectionsPerSecond => "connects/s",
        }
    }
}

/// One row of what is asked for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bar {
    /// Short name, for results in JSON.
    pub id: &'static str,
    /// What is measured.
    pub what: &'static str,
    /// Its unit.
    pub unit: Unit,
    /// Whether more or less is better.
    pub side: Side,
    /// What must be reached.
    pub bar: f64,
    /// What one would like to reach.
    pub aim: Option<f64>,
    /// The only set whose aim that is; the others have none.
    pub aim_on: Option<&'static str>,
}

impl Bar {
    /// The aim for a set.
    pub fn aim_for(&self, set: &str) -> Option<f64> {
        self.aim.filter(|_| self.aim_on.is_none_or(|only| only == set))
    }
}

const fn at_least(id: &'static str, what: &'static str, bar: f64, aim_on_mixed: f64) -> Bar {
    let (unit, side) = (Unit::Times, Side::AtLeast);
    Bar { id, what, unit, side, bar, aim: Some(aim_on_mixed), aim_on: Some("mixed") }
}

const fn least(id: &'static str, what: &'static str, bar: f64) -> Bar {
    let (unit, side) = (Unit::Times, Side::AtLeast);
    Bar { id, what, unit, side, bar, aim: None, aim_on: None }
}

const fn at_most(
    id: &'static str,
    what: &'static str,
    unit: Unit,
    bar: f64,
    aim: Option<f64>,
) -> Bar {
    Bar { id, what, unit, side: Side::AtMost, bar, aim, aim_on: None }
}

/// All of them, in the order of the table.
///
/// Where a case has a figure for each event set, each of them has to reach the bar.
pub const BARS: &[Bar] = &[
    at_least("reflect-serde", "native faster than prost-reflect + serde_json", 10.0, 20.0),
    at_least("reflect-go", "native faster than prost-reflect + Go-shaped writer", 7.0, 14.0),
    at_most("bare-walk", "native against its bare deep walk", Unit::Times, 6.0, Some(4.0)),
    at_most(
        "guest-unscanned",
        "guest against native, without the JSON scan",
        Unit::Times,
        2.8,
        Some(2.2),
    ),
    at_most("guest", "guest against native, all checks", Unit::Times, 4.0, Some(2.8)),
    at_most("guest-calls", "guest, call an event against batch of 64", Unit::Times, 1.10, None),
    at_most(
        "cold-load",
        "cold load of our module and first event",
        Unit::Milliseconds,
        300.0,
        Some(150.0),
    ),
    at_most(
        "table-load",
        "load of a table artifact and first event",
        Unit::Milliseconds,
        5.0,
        Some(1.0),
    ),
    at_most(
        "fresh-instance",
        "fresh instance and first event",
        Unit::Microseconds,
        200.0,
        Some(60.0),
    ),
    at_most("module-plain", "module with the newest schema", Unit::Kilobytes, 256.0, Some(180.0)),
    at_most("module-gzip", "the same, gzip", Unit::Kilobytes, 80.0, Some(64.0)),
    at_most("guest-memory", "guest memory for one 4 MiB event", Unit::Mebibytes, 32.0, Some(16.0)),
    at_most("allocations", "heap allocations an event, steady state", Unit::Count, 0.0, Some(0.0)),
    at_most("linear", "time per byte against its least, same shape", Unit::Times, 2.0, None),
    at_most("hostile", "time per byte against the plain form", Unit::Times, 10.0, None),
    at_most(
        "handler-cpu",
        "program, processor time an event, arrays",
        Unit::Microseconds,
        6.0,
        Some(3.0),
    ),
    at_most("handler-cpu-gzip", "the same with gzip", Unit::Microseconds, 15.0, None),
    at_most("handler-memory", "program, most memory, long backlog", Unit::Mebibytes, 64.0, None),
    at_most("handler-backlog", "program, an event of a long backlog", Unit::Times, 1.1, None),
    least("handler-far-array", "receiver 25 ms away, arrays against one by one", 300.0),
    least("handler-far-single", "the same, one an event, a connection's share", 0.8),
    Bar {
        unit: Unit::EventsPerSecond,
        ..least("handler-far-source", "Auth 25 ms away, pages of 20", 5000.0)
    },
    at_most("audit-encode", "audit, encode 575 bytes", Unit::Nanoseconds, 400.0, None),
    at_most("audit-encode-allocations", "audit, allocations an encode", Unit::Count, 0.0, None),
    at_most("audit-send", "audit, send, median", Unit::Nanoseconds, 700.0, None),
    at_most("audit-send-allocations", "audit, allocations a send", Unit::Count, 1.0, None),
    at_most(
        "audit-send-stalled",
        "audit, send, 99th percentile, agent stalled",
        Unit::Microseconds,
        5.0,
        None,
    ),
    Bar {
        unit: Unit::RecordsPerSecond,
        ..least("audit-drain", "audit, a full queue over a Unix socket", 1_000_000.0)
    },
    least("audit-drain-bare", "audit, the same against a bare writer", 0.5),
    at_most("audit-drain-writes", "audit, writes a record", Unit::Count, 0.02, None),
    at_most("audit-memory", "audit, memory of a full queue a byte", Unit::Times, 1.05, None),
    at_most(
        "audit-storm",
        "audit, connections in the worst storm",
        Unit::ConnectionsPerSecond,
        10.0,
        None,
    ),
    Bar {
        unit: Unit::RecordsPerSecond,
        ..least("audit-spill", "audit, records to disk", 200_000.0)
    },
];

/// The bar with that id.
///
/// # Panics
///
/// If there is none: ids are literals of this package.
pub fn bar(id: &str) -> &'static Bar {
    BARS.iter().find(|bar| bar.id == id).unwrap_or_else(|| panic!("there is no bar `{id}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_itself_is_reached() {
        assert!(Side::AtLeast.holds(10.0, 10.0) && !Side::AtLeast.holds(9.99, 10.0));
        assert!(Side::AtMost.holds(0.0, 0.0) && !Side::AtMost.holds(0.01, 0.0));
        assert!(!Side::AtMost.holds(f64::NAN, 1.0) && !Side::AtLeast.holds(f64::NAN, 1.0));
    }

    #[test]
    fn an_aim_asks_for_more_than_its_bar() {
        for bar in BARS {
            assert!(bar.aim.is_none_or(|aim| bar.side.holds(aim, bar.bar)), "{}", bar.id);
        }
    }

    #[test]
    fn ids_are_unique() {
        for bar in BARS {
            assert_eq!(BARS.iter().filter(|other| other.id == bar.id).count(), 1, "{}", bar.id);
        }
    }

    #[test]
    fn some_aims_are_for_one_set_only() {
        assert_eq!(bar("reflect-serde").aim_for("mixed"), Some(20.0));
        assert_eq!(bar("reflect-serde").aim_for("small"), None);
        assert_eq!(bar("bare-walk").aim_for("small"), Some(4.0));
    }
}
