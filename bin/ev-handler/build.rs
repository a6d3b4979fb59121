//! Tells the program which compiler made it, and from which commit when a packager says so.

use std::process::Command;

fn main() {
    println!("cargo:rerun-if-env-changed=EV_GIT_REF");
    println!("cargo:rerun-if-env-changed=RUSTC");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let told = Command::new(rustc).arg("--version").output();
    // `rustc 1.95.0 (…)`.
    let version = told
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .and_then(|text| text.split_whitespace().nth(1).map(str::to_owned));
    println!("cargo:rustc-env=EV_RUSTC_VERSION={}", version.as_deref().unwrap_or("unknown"));
    if let Some(reference) = std::env::var("EV_GIT_REF").ok().filter(|text| !text.is_empty()) {
        println!("cargo:rustc-env=EV_GIT_REF={reference}");
    }
}
