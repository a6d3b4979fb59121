//! The table at the end.

use super::verdict::Verdict;

pub(super) fn print(verdict: &Verdict, json: bool) {
    if json {
        let mut value = serde_json::json!(verdict);
        value["ok"] = verdict.passed().into();
        println!("{value}");
        return;
    }
    println!();
    for (name, value, note) in rows(verdict) {
        println!("  {name:<22}{value:>10}   {note}");
    }
    println!();
    for check in &verdict.checks {
        println!("  {}  {}", if check.holds { "ok    " } else { "FAILED" }, check.what);
    }
    println!("\nWhere to look next: docs/architecture.md follows one event through all this;");
    println!("`cargo xtask demo --keep` leaves everything running for you to explore.");
}

fn rows(verdict: &Verdict) -> Vec<(&'static str, String, String)> {
    let v = verdict;
    let versions: Vec<String> = v
        .versions
        .iter()
        .map(|(version, count)| format!("{} by Auth {version}", count.delivered))
        .collect();
    let row = |name, value: u64, note: &str| (name, value.to_string(), note.to_owned());
    vec![
        row("served", v.served, &format!("{} of them terminal output, left out", v.left_out)),
        row("delivered", v.delivered, &versions.join(", ")),
        row("decoded natively", v.by_native, "with the schema built in"),
        row("decoded by module", v.by_module, "received from Auth, verified, confined"),
        row(
            "parked and resolved",
            v.parked_and_resolved,
            &format!(
                "{} still parked; {} damaged modules refused",
                v.still_parked, v.modules_refused
            ),
        ),
        row("duplicates", v.duplicates, &format!("at most {} after a crash", v.duplicate_window)),
        row("missing", v.missing, &format!("{} bodies differ", v.wrong_bodies)),
        row("sessions", v.sessions, "recordings read to their end"),
        ("elapsed", format!("{:.1} s", v.elapsed_secs), format!("{} requests", v.requests)),
        ("events/s", format!("{:.0}", v.events_per_sec), "waits of the story included".to_owned()),
        ("peak memory", format!("{} MiB", v.peak_memory_kib / 1024), "of the handler".to_owned()),
    ]
}
