//! Which crate may depend on which, proved from what cargo resolves.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;

use crate::root;

/// Normal dependencies between our crates. Everything points at `ev-core`; the others are the
/// named exceptions of the architecture. The binary and tools see everything.
const ALLOWED: &[(&str, &[&str])] = &[
    ("ev-audit", &["ev-tls"]),
    ("ev-config", &[]),
    ("ev-configure", &[]),
    ("ev-core", &[]),
    ("ev-decode", &["ev-core"]),
    ("ev-decoder-module", &["ev-core", "ev-decode"]),
    ("ev-diag", &["ev-core"]),
    ("ev-dial", &["ev-core", "ev-tls"]),
    ("ev-locking", &["ev-core"]),
    ("ev-modules", &["ev-core", "ev-decode"]),
    ("ev-modules-https", &["ev-core", "ev-dial", "ev-modules", "ev-tls"]),
    ("ev-oracle", &[]),
    ("ev-pipeline", &["ev-core"]),
    ("ev-reference-state", &["ev-core"]),
    ("ev-schema", &["ev-core", "ev-decode"]),
    ("ev-shadow", &["ev-core", "ev-dial", "ev-tls"]),
    ("ev-sink-file", &["ev-core"]),
    ("ev-sink-fluentd", &["ev-core", "ev-dial", "ev-tls"]),
    ("ev-sink-forward", &["ev-core", "ev-dial", "ev-tls"]),
    ("ev-source", &["ev-core", "ev-dial", "ev-tls"]),
    ("ev-state", &["ev-core"]),
    ("ev-test-support", &[]),
    ("ev-tls", &[]),
    ("ev-unstructured", &["ev-core"]),
    ("ev-wasm-host", &["ev-core"]),
];

/// The binary, and what measures and tests all of it.
const SEE_ALL: &[&str] = &["ev-bench", "ev-bench-typed", "ev-fuzz", "ev-handler"];

/// Packages that only one of our crates may name.
const SOLE_USERS: &[(&str, &str)] = &[("wasmtime", "ev-wasm-host"), ("rusqlite", "ev-state")];

/// Packages that must not be anywhere below a crate.
const ABSENT: &[(&str, &[&str])] = &[
    ("ev-core", &["tokio", "rustls", "prost"]),
    ("ev-decode", &["tokio", "rustls", "prost-reflect", "protox"]),
    ("ev-unstructured", &["tokio", "rustls", "prost", "tonic"]),
    ("ev-pipeline", &["tonic", "hyper", "rusqlite", "wasmtime"]),
    ("ev-audit", &["opentelemetry"]),
    ("ev-config", &["tokio"]),
    // Serving is a feature of its own.
    ("ev-modules", &["tonic", "prost", "hyper", "rustls", "wasmtime"]),
];

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
    optional: bool,
}

/// Adds a line to `wrong` for each edge that should not be.
pub(crate) fn check(wrong: &mut Vec<String>) -> Result<()> {
    let metadata = metadata()?;
    let members: BTreeSet<&str> = metadata.workspace_members.iter().map(String::as_str).collect();
    let ours: Vec<&Package> =
        metadata.packages.iter().filter(|p| members.contains(p.id.as_str())).collect();
    let names: BTreeSet<&str> = ours.iter().map(|p| p.name.as_str()).collect();
    let allowed: BTreeMap<&str, &[&str]> = ALLOWED.iter().copied().collect();

    for package in &ours {
        let name = package.name.as_str();
        for dependency in package.dependencies.iter().filter(|d| d.kind.is_none()) {
            let on = dependency.name.as_str();
            if let Some(allowed) = allowed.get(name)
                && names.contains(on)
                && !allowed.contains(&on)
            {
                wrong.push(format!("{name} depends on its sibling {on}"));
            }
            if let Some((_, user)) = SOLE_USERS.iter().find(|(package, _)| *package == on)
                && *user != name
            {
                wrong.push(format!("{name} names {on}, which only {user} may"));
            }
        }
        if name.starts_with("ev-") && !SEE_ALL.contains(&name) && !allowed.contains_key(name) {
            wrong.push(format!("{name} is not in the list of allowed dependencies"));
        }
    }
    for (name, absent) in ABSENT {
        for package in below(name)? {
            if absent.contains(&package.as_str()) {
                wrong.push(format!("{package} is below {name}"));
            }
        }
    }
    Ok(())
}

fn metadata() -> Result<Metadata> {
    let output = cargo(&["metadata", "--format-version", "1", "--no-deps", "--locked"])?;
    let metadata: Metadata = serde_json::from_slice(&output).context("failed to read metadata")?;
    // An optional dependency is an edge all the same: it must be as right as any other.
    ensure!(
        metadata.packages.iter().flat_map(|p| &p.dependencies).any(|d| d.optional),
        "cargo no longer tells optional dependencies"
    );
    Ok(metadata)
}

/// Everything a crate links with its default features, itself included.
fn below(name: &str) -> Result<BTreeSet<String>> {
    let tree = ["tree", "--locked", "-p", name, "-e", "normal", "--prefix", "none", "-f", "{p}"];
    let output = cargo(&tree)?;
    let text = String::from_utf8_lossy(&output);
    Ok(text.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect())
}

fn cargo(args: &[&str]) -> Result<Vec<u8>> {
    let output = crate::cargo::command().args(args).current_dir(root()).output()?;
    ensure!(
        output.status.success(),
        "`cargo {}` failed: {}",
        args.join(" "),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(output.stdout)
}
