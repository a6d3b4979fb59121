//! The status page in a real browser.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use ev_diag::{
    Artifacts, Auth, Certificate, Counters, Decoder, Engine, Minute, Phase, Receiver,
    ReceiverTrouble, Sink, Snapshot, Sums, Told, UnixTime,
};

use crate::rig::Rig;

const NOW: i64 = 1_790_000_000;

/// The browser: named by whoever runs the tests, or where Debian has it. Without one a word past
/// the capturing of the test runner.
fn browser_or_skip() -> Option<PathBuf> {
    let named = std::env::var_os("EV_CHROMIUM").map(PathBuf::from);
    let found =
        named.or_else(|| Some(PathBuf::from("/usr/bin/chromium")).filter(|path| path.is_file()));
    if found.is_none() {
        std::io::stdout().lock().write_all(b"\nskipped: chromium\n").expect("a place to say so");
    }
    found
}

/// Runs it without a window; what it prints.
fn browse(browser: &Path, profile: &Path, args: &[&str]) -> String {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
        .args(["--hide-scrollbars", "--no-first-run", "--disable-extensions"])
        // Time as the page sees it: enough for its first answer, however slow the machine is.
        .arg("--virtual-time-budget=4000")
        .arg(format!("--user-data-dir={}", profile.display()))
        .args(args)
        .stderr(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{:?}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

/// One that is well.
fn well() -> Snapshot {
    let certificate = |subject: &str, days: i64| Certificate {
        subject: subject.to_owned(),
        issuer: "Teleport CA".to_owned(),
        not_before: UnixTime(NOW - 86_400),
        not_after: UnixTime(NOW + days * 86_400),
        warn_from: UnixTime(NOW + days * 69_120),
    };
    let history = (0..60).map(|minute| Minute {
        time: UnixTime(NOW - (59 - minute) * 60),
        delivered: (120 + (minute * 37) % 90).unsigned_abs(),
        parked: 0,
        lag_seconds: (minute * 7) % 5,
    });
    Snapshot {
        time: UnixTime(NOW),
        version: "0.1.0".to_owned(),
        started: UnixTime(NOW - 86_400),
        uptime_seconds: 86_400,
        phase: Phase::Running,
        storage: "/var/lib/teleport-event-handler".to_owned(),
        auth: Auth {
            address: "teleport.example.com:443".to_owned(),
            connected: true,
            version: Some("18.7.3".to_owned()),
            cluster: Some("example.com".to_owned()),
            road: Some("typed".to_owned()),
            certificates: vec![certificate("teleport-event-handler", 1)],
            ..Auth::default()
        },
        decoder: Decoder {
            in_use: Some("exact: module 18.7.3".to_owned()),
            signer: Some("SHA256:6d1f0b2a".to_owned()),
            artifacts: Artifacts { accepted: 1, ..Artifacts::default() },
            unknown: BTreeMap::new(),
        },
        sinks: vec![Sink {
            name: "fluentd".to_owned(),
            engine: Engine::Running,
            caught_up: true,
            lag_seconds: Some(0),
            position: Some(UnixTime(NOW - 3)),
            counters: Counters {
                read: 215_044,
                delivered: 214_990,
                filtered: 50,
                in_flight: 4,
                sent: 214_990,
                ..Counters::default()
            },
            totals: Sums { sessions: 431, ..Sums::default() },
            certificates: vec![certificate("client", 3650)],
            ..Sink::default()
        }],
        history: history.collect(),
        ..Snapshot::default()
    }
}

/// One with several troubles, among them a text that would be a script.
fn unwell() -> Snapshot {
    let mut snapshot = well();
    snapshot.auth.certificates[0].not_after = UnixTime(NOW + 1800);
    let sink = &mut snapshot.sinks[0];
    sink.caught_up = false;
    sink.lag_seconds = Some(754);
    sink.parked = BTreeMap::from([("unknown".to_owned(), 12), ("refused".to_owned(), 1)]);
    let reason = "unreachable: connection refused <script>document.title='x'</script>".to_owned();
    sink.audit = Receiver {
        trouble: Some(ReceiverTrouble { seconds: 754, reason: reason.clone() }),
        ..Receiver::default()
    };
    snapshot.decoder.unknown = BTreeMap::from([("workload.attested".to_owned(), 12)]);
    snapshot.troubles = vec![
        Told {
            time: UnixTime(NOW - 754),
            level: "warning".to_owned(),
            text: format!("delivery failed, trying again detail={reason}"),
            times: 3,
        },
        Told {
            time: UnixTime(NOW - 20),
            level: "error".to_owned(),
            text: "events are parked".to_owned(),
            times: 1,
        },
    ];
    snapshot
}

#[test]
fn a_person_reads_there_what_is_going_on() {
    let Some(browser) = browser_or_skip() else { return };
    let profile = tempfile::tempdir().unwrap();
    let rig = Rig::new(well());
    let url = format!("http://{}/", rig.address());
    let page = browse(&browser, profile.path(), &["--dump-dom", &url]);
    for text in [
        "✓ ready",
        "connected to example.com 18.7.3 at teleport.example.com:443, typed calls",
        "exact: module 18.7.3",
        "SHA256:6d1f0b2a",
        "214,990",
        "431",
        "auth: teleport-event-handler",
        "Last warnings and errors",
    ] {
        assert!(page.contains(text), "`{text}` is not in {page}");
    }
    // A bar for each minute in each plot, each with its figure in words.
    assert_eq!(page.matches("<rect ").count(), 120, "{page}");

    *rig.shown.snapshot.lock().unwrap() = unwell();
    let page = browse(&browser, profile.path(), &["--dump-dom", &url]);
    // Words and signs, so that nobody needs the colours.
    for text in ["✕ not ready", "✕ down", "! look", "workload.attested", "(3 times)"] {
        assert!(page.contains(text), "`{text}` is not in {page}");
    }
    assert!(page.contains("&lt;script&gt;document.title"), "a text stays a text: {page}");
    assert!(page.contains("<title>✕ ev-handler</title>"), "and is not run: {page}");
}

#[test]
fn it_fits_a_desk_and_a_phone() {
    let Some(browser) = browser_or_skip() else { return };
    let profile = tempfile::tempdir().unwrap();
    // Where the pictures of the documentation are, for whoever wants to renew them.
    let kept = std::env::var_os("EV_SCREENSHOTS").map(PathBuf::from);
    let folder = kept.as_deref().unwrap_or(profile.path());
    for (name, snapshot, width, height) in [
        ("status-page.png", well(), 1200, 900),
        ("status-page-trouble.png", unwell(), 1200, 900),
        ("status-page-phone.png", unwell(), 500, 1600),
    ] {
        let rig = Rig::new(snapshot);
        let picture = folder.join(name);
        let target = format!("--screenshot={}", picture.display());
        let size = format!("--window-size={width},{height}");
        let url = format!("http://{}/", rig.address());
        browse(&browser, profile.path(), &[&target, &size, &url]);
        let png = std::fs::read(&picture).unwrap();
        // Width and height stand in front of everything else in a PNG.
        let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        assert_eq!((&png[1..4], number(16), number(20)), (&b"PNG"[..], width, height));
        // An empty page compresses to next to nothing.
        assert!(png.len() > 15_000, "{name} has {} bytes", png.len());
    }
}
