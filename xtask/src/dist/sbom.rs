//! The bill of materials of a program, in CycloneDX 1.5 (JSON).
//! <https://cyclonedx.org/docs/1.5/json/>
//!
//! It has no serial number and no time, so that the same sources give the same document.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use super::build::{Built, PACKAGE};
use super::packages::{Foreign, Id, Linked, Package};
use super::sums;

/// The document.
pub(crate) fn document(built: &Built, linked: &Linked) -> Result<String> {
    let top = linked.packages.values().find(|package| package.id.0 == PACKAGE);
    let top = top.context("the program is a package")?;
    let mut program = package(top);
    program["type"] = json!("application");
    program["hashes"] = json!([{ "alg": "SHA-256", "content": sums::hex(&built.bytes) }]);
    program["properties"] = json!([{ "name": "target", "value": built.target.triple }]);
    let others = linked.packages.values().filter(|package| package.id != top.id);
    let components: Vec<Value> =
        others.map(package).chain(linked.foreign.iter().map(foreign)).collect();
    let mut dependencies: Vec<Value> = linked
        .packages
        .values()
        .map(|package| {
            let below = package.depends_on.iter().map(reference);
            let brought =
                linked.foreign.iter().filter(|one| one.below.as_ref() == Some(&package.id));
            let always = linked.foreign.iter().filter(|one| one.below.is_none());
            let always = always.filter(|_| package.id == top.id);
            let names: Vec<String> =
                below.chain(brought.chain(always).map(foreign_reference)).collect();
            json!({ "ref": reference(&package.id), "dependsOn": names })
        })
        .collect();
    let leaves = linked.foreign.iter();
    dependencies.extend(leaves.map(|one| json!({ "ref": foreign_reference(one) })));
    let document = json!({
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": program },
        "components": components,
        "dependencies": dependencies,
    });
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn reference((name, version): &Id) -> String {
    format!("cargo:{name}@{version}")
}

fn foreign_reference(one: &Foreign) -> String {
    format!("{}@{}", one.name, one.version)
}

fn package(package: &Package) -> Value {
    let (name, version) = &package.id;
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(&package.id),
        "name": name,
        "version": version,
        "licenses": [{ "expression": package.licence }],
    });
    if let Some(description) = &package.description {
        component["description"] = json!(description);
    }
    if let Some(repository) = &package.repository {
        component["externalReferences"] = json!([{ "type": "vcs", "url": repository }]);
    }
    // Ours are in no registry, where another's package may have that name.
    if let Some(checksum) = &package.checksum {
        // A `+` stands for itself in a version and for a space elsewhere.
        component["purl"] = json!(format!("pkg:cargo/{name}@{}", version.replace('+', "%2B")));
        component["hashes"] = json!([{ "alg": "SHA-256", "content": checksum }]);
    }
    component
}

fn foreign(one: &Foreign) -> Value {
    json!({
        "type": "library",
        "bom-ref": foreign_reference(one),
        "name": one.name,
        "version": one.version,
        "licenses": [{ "expression": one.licence }],
        "externalReferences": [{ "type": "website", "url": one.website }],
    })
}

/// Holds the documents against the programs: a program tells in its messages of panics which
/// packages it was compiled from, and each of them has to be listed in that very version.
pub(crate) fn check(built: &[Built], folder: &Path) -> Result<()> {
    for one in built {
        let path = folder.join(format!("{}.cdx.json", one.name()));
        let document: Value = serde_json::from_slice(&fs::read(&path)?)?;
        let program = &document["metadata"]["component"];
        ensure!(
            program["hashes"][0]["content"] == sums::hex(&one.bytes).as_str(),
            "{} is the bill of another program",
            path.display()
        );
        let components = document["components"].as_array().context("there are components")?;
        let folders: BTreeSet<String> = components
            .iter()
            .filter_map(|one| {
                Some(format!("{}-{}", one["name"].as_str()?, one["version"].as_str()?))
            })
            .collect();
        let told = told(&one.bytes);
        ensure!(told.len() > 50, "only {} packages are told by the program", told.len());
        let missing: Vec<&String> = told.difference(&folders).collect();
        ensure!(missing.is_empty(), "linked and not listed in {}: {missing:?}", path.display());
        known_references(&document, &path)?;
        println!(
            "{}: {} components, {} told by the program",
            one.name(),
            components.len(),
            told.len()
        );
    }
    Ok(())
}

fn known_references(document: &Value, path: &Path) -> Result<()> {
    let components = document["components"].as_array().into_iter().flatten();
    let components = components.chain([&document["metadata"]["component"]]);
    let mut known = BTreeSet::new();
    for component in components {
        let name = component["bom-ref"].as_str().context("a component has a reference")?;
        ensure!(known.insert(name), "{}: `{name}` is listed twice", path.display());
    }
    for edge in document["dependencies"].as_array().context("there are dependencies")? {
        let below = edge["dependsOn"].as_array().into_iter().flatten();
        for name in below.chain([&edge["ref"]]).filter_map(Value::as_str) {
            ensure!(known.contains(name), "{}: `{name}` is not listed", path.display());
        }
    }
    Ok(())
}

/// The folders of packages that a program names, as `bytes-1.10.1`.
fn told(program: &[u8]) -> BTreeSet<String> {
    const BEGIN: &[u8] = b"/cargo/registry/src/";
    let starts = (0..program.len()).filter(|at| program[*at..].starts_with(BEGIN));
    starts
        .filter_map(|at| {
            let path = &program[at + BEGIN.len()..];
            let end = path.iter().position(|byte| !byte.is_ascii_graphic())?;
            // The registry, the package, a file in it.
            let mut parts = path[..end].split(|byte| *byte == b'/').skip(1);
            let (package, _file) = (parts.next()?, parts.next()?);
            String::from_utf8(package.to_vec()).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_names_what_it_was_compiled_from() {
        let program = b"\0xx/cargo/registry/src/index-1/bytes-1.10.1/src/buf.rs\0\
                        /cargo/registry/src/index-1/rust.rs\0/cargo/registry/src/";
        assert_eq!(told(program), BTreeSet::from(["bytes-1.10.1".to_owned()]));
    }
}
