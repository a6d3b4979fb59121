//! What people and programs are told.

use std::io::Write;

use ev_core::LedgerHour;
use ev_pipeline::ledger::Recording;
use serde::Serialize;

use super::compare::Compared;
use super::recordings;
use super::repair::{Again, Repaired};
use super::verdict::{Sums, Verdict};
use super::{Args, Hours};
use crate::exit::Exit;
use crate::text::{shown_id, time};

/// What was found, on its way out.
#[derive(Debug)]
pub(super) struct Report {
    json: bool,
    /// Whether what differs is to be repaired.
    repair: bool,
    stopped: bool,
    from: i64,
    to: i64,
    cluster: String,
    before_start: u64,
    before_takeover: u64,
    /// First hour that has a row.
    first_hour: Option<i64>,
    sums: Sums,
    hours: Vec<(Compared, Option<Repaired>)>,
    recording_sums: Sums,
    /// Recordings that another handler has cared for.
    recordings_before_takeover: u64,
    /// Recordings with gaps in their indexes, whatever was found else.
    with_gaps: u64,
    recordings: Vec<(recordings::Compared, Option<Again>)>,
}

#[derive(Serialize)]
struct Whole<'a> {
    from: String,
    to: String,
    cluster: &'a str,
    hours: Vec<OneHour<'a>>,
    compared: u64,
    equal: u64,
    differing: u64,
    without_row: u64,
    unproved: u64,
    open: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    repaired: Option<u64>,
    before_start: u64,
    before_takeover: u64,
    /// Whether it was stopped before the end of the span.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stopped: bool,
    recordings: Recordings<'a>,
    all_closed_equal: bool,
}

#[derive(Serialize)]
struct Recordings<'a> {
    compared: u64,
    equal: u64,
    differing: u64,
    without_row: u64,
    unproved: u64,
    open: u64,
    with_gaps: u64,
    before_takeover: u64,
    recordings: Vec<OneRecording<'a>>,
}

#[derive(Serialize)]
struct OneRecording<'a> {
    session: &'a str,
    verdict: &'static str,
    auth: Part,
    ledger: Option<Part>,
    #[serde(skip_serializing_if = "Option::is_none")]
    broken: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<Again>,
}

/// What one side has of a recording.
#[derive(Serialize)]
struct Part {
    events: u64,
    last_index: i64,
    gaps: u64,
}

#[derive(Serialize)]
struct OneHour<'a> {
    hour: String,
    verdict: &'static str,
    auth: u64,
    ledger: Option<u64>,
    missing: Vec<String>,
    missing_more: usize,
    only_ledger: &'a [String],
    only_ledger_more: usize,
    /// Whether it differs in more than can be named.
    untold: bool,
    damaged: bool,
    unidentified: u64,
    gaps: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repair: Option<&'a Repaired>,
}

impl Report {
    pub(super) fn new(args: &Args, cluster: &str, hours: &Hours, first_hour: Option<i64>) -> Self {
        let Args { from, to, repair, json, .. } = *args;
        Self {
            json,
            repair,
            stopped: false,
            from,
            to,
            cluster: cluster.to_owned(),
            before_start: hours.before_start,
            before_takeover: hours.before_takeover,
            first_hour,
            sums: Sums::default(),
            hours: Vec::new(),
            recording_sums: Sums::default(),
            recordings_before_takeover: 0,
            with_gaps: 0,
            recordings: Vec::new(),
        }
    }

    /// Not all of the span was looked at.
    pub(super) fn stopped(&mut self) {
        self.stopped = true;
    }

    /// Takes an hour, and what was done about it; as text it is told at once, if there is something
    /// to tell.
    pub(super) fn add(
        &mut self,
        compared: Compared,
        repaired: Option<Repaired>,
        out: &mut dyn Write,
    ) -> std::io::Result<()> {
        let is_equal_now = repaired.as_ref().is_some_and(|repaired| repaired.left.is_none());
        if is_equal_now {
            self.sums.add_repaired();
        } else {
            self.sums.add(compared.verdict);
        }
        if compared.verdict == Verdict::Equal && compared.gaps.is_empty() {
            return Ok(());
        }
        if self.json {
            self.hours.push((compared, repaired));
            return Ok(());
        }
        self.hour(&compared, out)?;
        if let Some(repaired) = &repaired {
            told(repaired, out)?;
        }
        out.flush()
    }

    fn hour(&self, compared: &Compared, out: &mut dyn Write) -> std::io::Result<()> {
        let Compared { hour, verdict, auth, ledger, .. } = compared;
        let ledger = ledger.map_or("no row".to_owned(), |count| count.to_string());
        let why = match verdict {
            Verdict::NoRow if self.first_hour.is_none_or(|first| *hour < first) => {
                " (before the ledger begins)"
            }
            _ if compared.damaged => " (the row is damaged)",
            _ => "",
        };
        let start = start(*hour);
        writeln!(out, "{start}  {:<8}  auth {auth}, ledger {ledger}{why}", verdict.as_str())?;
        for id in &compared.missing {
            writeln!(out, "    only auth has    {}", shown_id(id))?;
        }
        if compared.missing_more > 0 {
            writeln!(out, "    only auth has    {} more", compared.missing_more)?;
        }
        for digest in &compared.only_ledger {
            writeln!(out, "    only the ledger  {digest}")?;
        }
        if compared.only_ledger_more > 0 {
            writeln!(out, "    only the ledger  {} more", compared.only_ledger_more)?;
        }
        if compared.untold {
            writeln!(out, "    which events differ cannot be told")?;
        }
        if compared.unidentified > 0 {
            writeln!(out, "    {} without an id, not compared", compared.unidentified)?;
        }
        for gap in &compared.gaps {
            writeln!(out, "    auth cannot send all of {}", time(*gap))?;
        }
        Ok(())
    }

    /// Takes a recording, and what is done about it; as text it is told at once, if there is
    /// something to tell.
    pub(super) fn add_recording(
        &mut self,
        compared: recordings::Compared,
        again: Option<Again>,
        out: &mut dyn Write,
    ) -> std::io::Result<()> {
        let is_read_again = again.is_some_and(|again| again.left.is_none());
        self.recording_sums.add(if is_read_again { Verdict::Open } else { compared.verdict });
        self.with_gaps += u64::from(compared.auth.gaps > 0);
        if compared.verdict == Verdict::Equal && compared.auth.gaps == 0 {
            return Ok(());
        }
        if self.json {
            self.recordings.push((compared, again));
            return Ok(());
        }
        let recordings::Compared { session, verdict, auth, ledger, broken } = compared;
        let events = |of: &Recording| format!("{} to index {}", of.count, of.last_index);
        let ledger = ledger.as_ref().map_or("no row".to_owned(), events);
        let (verdict, auth_has) = (verdict.as_str(), events(&auth));
        writeln!(out, "recording {session}  {verdict:<8}  auth {auth_has}, ledger {ledger}")?;
        if auth.gaps > 0 {
            writeln!(out, "    indexes are missing in {} places", auth.gaps)?;
        }
        if let Some(broken) = broken {
            writeln!(out, "    auth cannot send all of it: {}", shown_id(&broken))?;
        }
        match again {
            None => {}
            Some(Again { left: None }) => {
                writeln!(out, "    the handler reads it again when it is started")?;
            }
            Some(Again { left: Some(why) }) => writeln!(out, "    not repaired: {why}")?,
        }
        out.flush()
    }

    /// Counts a recording that the handler before this one has cared for.
    pub(super) fn add_recording_before_takeover(&mut self) {
        self.recordings_before_takeover += 1;
    }

    /// Says how it all adds up.
    pub(super) fn end(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let Sums { compared, equal, differing, without_row, unproved, open, repaired } = self.sums;
        if self.json {
            let whole = Whole {
                from: time(self.from),
                to: time(self.to),
                cluster: &self.cluster,
                hours: self.hours.iter().map(|(hour, done)| OneHour::new(hour, done)).collect(),
                compared,
                equal,
                differing,
                without_row,
                unproved,
                open,
                repaired: self.repair.then_some(repaired),
                before_start: self.before_start,
                before_takeover: self.before_takeover,
                stopped: self.stopped,
                recordings: self.told_recordings(),
                all_closed_equal: self.all_equal(),
            };
            serde_json::to_writer(&mut *out, &whole)?;
            writeln!(out)?;
            return out.flush();
        }
        writeln!(
            out,
            "compared {compared} hours: {equal} equal, {differing} differing, {without_row} \
             without a row, {unproved} unproved, {open} open"
        )?;
        if self.repair {
            writeln!(out, "repaired {repaired} hours, which are equal now")?;
        }
        let Sums { compared, equal, differing, without_row, unproved, .. } = self.recording_sums;
        if compared > 0 {
            let open = self.recording_sums.open;
            writeln!(
                out,
                "compared {compared} recordings: {equal} equal, {differing} differing, \
                 {without_row} without a row, {unproved} unproved, {open} open"
            )?;
        }
        if self.stopped {
            writeln!(out, "stopped before the end of the span")?;
        }
        if self.before_start > 0 {
            let hours = self.before_start;
            writeln!(out, "{hours} hours are from before the handler's start time")?;
        }
        if self.before_takeover > 0 {
            let hours = self.before_takeover;
            writeln!(
                out,
                "{hours} hours are from before the takeover: what was delivered of them only the \
                 handler before this one can tell"
            )?;
        }
        if self.recordings_before_takeover > 0 {
            let recordings = self.recordings_before_takeover;
            writeln!(out, "{recordings} recordings were announced before the takeover")?;
        }
        if open > 0 {
            let repair = if self.repair { ", and are not repaired" } else { "" };
            writeln!(out, "open hours may still change: they prove nothing yet{repair}")?;
        }
        if self.exit() == Exit::Open {
            writeln!(out, "nothing is proved yet: all hours are open")?;
        }
        out.flush()
    }

    /// How the process is to end.
    pub(super) fn exit(&self) -> Exit {
        match self.sums {
            Sums { compared: 0, .. } => Exit::Unchecked,
            _ if self.all_open() && !self.stopped => Exit::Open,
            _ if self.all_equal() && !self.stopped => Exit::Success,
            _ => Exit::Failure,
        }
    }

    fn all_equal(&self) -> bool {
        self.sums.all_equal() && self.recording_sums.all_equal()
    }

    /// Whether nothing was compared that cannot change any more.
    fn all_open(&self) -> bool {
        [self.sums, self.recording_sums].iter().all(|sums| sums.compared == sums.open)
    }

    fn told_recordings(&self) -> Recordings<'_> {
        let Sums { compared, equal, differing, without_row, unproved, open, .. } =
            self.recording_sums;
        let recordings =
            self.recordings.iter().map(|(one, again)| OneRecording::new(one, *again)).collect();
        Recordings {
            compared,
            equal,
            differing,
            without_row,
            unproved,
            open,
            with_gaps: self.with_gaps,
            before_takeover: self.recordings_before_takeover,
            recordings,
        }
    }
}

impl Part {
    fn of(recording: &Recording) -> Self {
        let Recording { count: events, last_index, gaps, .. } = *recording;
        Self { events, last_index, gaps }
    }
}

impl<'a> OneRecording<'a> {
    fn new(compared: &'a recordings::Compared, repair: Option<Again>) -> Self {
        Self {
            session: compared.session.as_str(),
            verdict: compared.verdict.as_str(),
            auth: Part::of(&compared.auth),
            ledger: compared.ledger.as_ref().map(Part::of),
            broken: compared.broken.as_deref().map(shown_id),
            repair,
        }
    }
}

impl<'a> OneHour<'a> {
    fn new(compared: &'a Compared, repaired: &'a Option<Repaired>) -> Self {
        Self {
            hour: start(compared.hour),
            verdict: compared.verdict.as_str(),
            auth: compared.auth,
            ledger: compared.ledger,
            missing: compared.missing.iter().map(|id| shown_id(id)).collect(),
            missing_more: compared.missing_more,
            only_ledger: &compared.only_ledger,
            only_ledger_more: compared.only_ledger_more,
            untold: compared.untold,
            damaged: compared.damaged,
            unidentified: compared.unidentified,
            gaps: compared.gaps.iter().map(|gap| time(*gap)).collect(),
            repair: repaired.as_ref(),
        }
    }
}

/// What was done about an hour.
fn told(repaired: &Repaired, out: &mut dyn Write) -> std::io::Result<()> {
    let Repaired { whole, sent, filtered, possible_duplicates, parked, left } = repaired;
    let of = if *whole { " of the whole hour" } else { "" };
    let mut parts = vec![format!("{sent} sent{of}")];
    if *filtered > 0 {
        parts.push(format!("{filtered} left out by a setting"));
    }
    if *possible_duplicates > 0 {
        parts.push(format!("{possible_duplicates} possible duplicates"));
    }
    if *parked > 0 {
        parts.push(format!("{parked} cannot be delivered and are parked"));
    }
    let done = parts.join(", ");
    match left {
        None => writeln!(out, "    repaired: {done}"),
        Some(why) => writeln!(out, "    not repaired: {why} ({done})"),
    }
}

fn start(hour: i64) -> String {
    time(hour.saturating_mul(LedgerHour::SECONDS))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compared(hour: i64, verdict: Verdict) -> Compared {
        Compared::plain(hour, verdict)
    }

    fn run(json: bool, before_start: u64, hours: Vec<Compared>) -> (String, Exit) {
        let args =
            Args { from: 0, to: 36_000, repair: false, no_recordings: false, sink: None, json };
        let hours_asked = Hours { first: 0, end: 0, before_start, before_takeover: 0 };
        let mut report = Report::new(&args, "c", &hours_asked, Some(3));
        let mut out = Vec::new();
        for hour in hours {
            report.add(hour, None, &mut out).unwrap();
        }
        report.end(&mut out).unwrap();
        (String::from_utf8(out).unwrap(), report.exit())
    }

    #[test]
    fn text_names_what_is_to_be_looked_at() {
        let mut differs = compared(4, Verdict::Differs);
        differs.missing = vec!["uid-1".into(), "a\u{1b}[2J".into(), "x".repeat(500)];
        differs.missing_more = 3;
        differs.only_ledger = vec!["00ff".into()];
        let mut hole = compared(5, Verdict::Equal);
        hole.gaps = vec![18_007];
        let none = Compared { ledger: None, ..compared(2, Verdict::NoRow) };
        let (text, exit) = run(
            false,
            2,
            vec![none, compared(3, Verdict::Equal), differs, hole, compared(6, Verdict::Open)],
        );
        assert_eq!(exit, Exit::Failure);
        let expected = format!(
            "1970-01-01T02:00:00Z  no-row    auth 7, ledger no row (before the ledger begins)
1970-01-01T04:00:00Z  differs   auth 7, ledger 5
    only auth has    uid-1
    only auth has    a\\u{{1b}}[2J
    only auth has    {}
    only auth has    3 more
    only the ledger  00ff
1970-01-01T05:00:00Z  equal     auth 7, ledger 5
    auth cannot send all of 1970-01-01T05:00:07Z
1970-01-01T06:00:00Z  open      auth 7, ledger 5
compared 5 hours: 2 equal, 1 differing, 1 without a row, 0 unproved, 1 open
2 hours are from before the handler's start time
open hours may still change: they prove nothing yet
",
            "x".repeat(128)
        );
        assert_eq!(text, expected);
    }

    #[test]
    fn json_is_one_object() {
        let mut unproved = compared(4, Verdict::Unproved);
        unproved.unidentified = 2;
        let (text, exit) = run(true, 0, vec![compared(3, Verdict::Equal), unproved]);
        assert_eq!(exit, Exit::Failure);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            (&value["compared"], &value["equal"], &value["unproved"]),
            (&2.into(), &1.into(), &1.into())
        );
        assert_eq!(value["hours"].as_array().unwrap().len(), 1, "equal ones are not listed");
        assert_eq!(value["hours"][0]["hour"], "1970-01-01T04:00:00Z");
        assert_eq!(
            (&value["hours"][0]["unidentified"], &value["all_closed_equal"]),
            (&2.into(), &false.into())
        );
        assert_eq!(
            (&value["from"], &value["to"]),
            (&"1970-01-01T00:00:00Z".into(), &"1970-01-01T10:00:00Z".into())
        );
    }

    #[test]
    fn the_exit_status_says_whether_all_closed_hours_are_equal() {
        assert_eq!(run(false, 0, vec![compared(3, Verdict::Equal)]).1, Exit::Success);
        let (text, exit) = run(false, 0, vec![compared(3, Verdict::Open)]);
        assert_eq!(exit, Exit::Open);
        assert!(text.ends_with("nothing is proved yet: all hours are open\n"), "{text}");
        let some = vec![compared(3, Verdict::Equal), compared(4, Verdict::Open)];
        assert_eq!(run(false, 0, some).1, Exit::Success);
        for finding in [Verdict::Differs, Verdict::NoRow, Verdict::Unproved] {
            let hours = vec![compared(3, Verdict::Equal), compared(4, finding)];
            assert_eq!(run(false, 0, hours).1, Exit::Failure, "{finding:?}");
        }
        assert_eq!(run(false, 9, Vec::new()).1, Exit::Unchecked, "nothing was compared");
    }

    #[test]
    fn hours_from_before_a_takeover_are_no_loss() {
        let args = Args {
            from: 0,
            to: 36_000,
            repair: false,
            no_recordings: false,
            sink: None,
            json: false,
        };
        let hours = Hours { first: 9, end: 10, before_start: 0, before_takeover: 8 };
        let mut report = Report::new(&args, "c", &hours, None);
        let mut out = Vec::new();
        report.add(compared(9, Verdict::Equal), None, &mut out).unwrap();
        report.end(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert!(text.contains("8 hours are from before the takeover: "), "{text}");
        assert_eq!(report.exit(), Exit::Success);
    }

    #[test]
    fn what_was_repaired_is_no_finding_any_more() {
        let run = |json, left: Option<&str>, stopped: bool| {
            let args =
                Args { from: 0, to: 36_000, repair: true, no_recordings: false, sink: None, json };
            let hours = Hours { first: 0, end: 0, before_start: 0, before_takeover: 0 };
            let mut report = Report::new(&args, "c", &hours, Some(3));
            let mut out = Vec::new();
            let left = left.map(str::to_owned);
            let repaired = Repaired {
                whole: true,
                sent: 7,
                filtered: 1,
                possible_duplicates: 3,
                parked: 2,
                left,
            };
            report.add(compared(3, Verdict::Differs), Some(repaired), &mut out).unwrap();
            report.add(compared(4, Verdict::Open), None, &mut out).unwrap();
            if stopped {
                report.stopped();
            }
            report.end(&mut out).unwrap();
            (String::from_utf8(out).unwrap(), report.exit())
        };
        let (text, exit) = run(false, None, false);
        let expected = "1970-01-01T03:00:00Z  differs   auth 7, ledger 5
    repaired: 7 sent of the whole hour, 1 left out by a setting, 3 possible duplicates, 2 cannot be delivered and are parked
1970-01-01T04:00:00Z  open      auth 7, ledger 5
compared 2 hours: 0 equal, 0 differing, 0 without a row, 0 unproved, 1 open
repaired 1 hours, which are equal now
open hours may still change: they prove nothing yet, and are not repaired
";
        assert_eq!((text.as_str(), exit), (expected, Exit::Success));
        let (text, exit) = run(false, Some("because"), false);
        assert!(text.contains("not repaired: because (7 sent") && exit == Exit::Failure, "{text}");
        let (text, exit) = run(false, None, true);
        assert!(text.contains("stopped before the end") && exit == Exit::Failure, "{text}");

        let (text, _) = run(true, Some("because"), true);
        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
        let repair = &value["hours"][0]["repair"];
        assert_eq!((&repair["sent"], &repair["left"]), (&7.into(), &"because".into()), "{text}");
        assert_eq!((&value["repaired"], &value["stopped"]), (&0.into(), &true.into()), "{text}");
    }
}
