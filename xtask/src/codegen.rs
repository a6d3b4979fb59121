//! Writes the generated gRPC code of the crates that speak to Auth, play it, or serve artifacts,
//! from `proto/`.
//!
//! The generated surface is kept small: only the calls a crate uses and the messages they reach,
//! and where an event is a field of a message, the field is declared as `bytes`. In protobuf both
//! have the same wire form, so what was sent is what comes out, byte for byte, and nobody parses
//! what is not theirs to parse.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use prost_types::field_descriptor_proto::Type;
use prost_types::{DescriptorProto, FileDescriptorProto, FileDescriptorSet};

/// Input files, relative to the include folders.
const PROTOS: &[&str] = &[
    "teleport/legacy/client/proto/authservice.proto",
    "teleport/auditlog/v1/auditlog.proto",
    "ev/decoder/v1/decoder.proto",
];

/// Include folders, relative to the root of the workspace.
const INCLUDES: &[&str] = &["proto/services", "proto"];

/// Fields of message type that are generated as `bytes`.
const RAW_FIELDS: &[(&str, &str)] = &[
    (".proto.Events", "Items"),
    (".teleport.auditlog.v1.EventsUnstructured", "items"),
    (".teleport.auditlog.v1.ExportEventUnstructured", "event"),
];

/// Messages of which only some fields are of use to anybody here.
const KEPT_FIELDS: &[(&str, &[&str])] =
    &[(".proto.PingResponse", &["ClusterName", "ServerVersion", "ProxyPublicAddr"])];

/// Package of the types that `prost-types` has.
const WELL_KNOWN: &str = "google.protobuf";

/// What is generated for one crate.
struct Surface {
    /// Folder of the crate, relative to the root of the workspace.
    krate: &'static str,
    client: bool,
    server: bool,
    /// Service and the methods of it.
    services: &'static [(&'static str, &'static [&'static str])],
    /// Messages wanted although no method kept here reaches them.
    messages: &'static [&'static str],
    /// Messages that the crate defines itself.
    own: &'static [(&'static str, &'static str)],
}

const SURFACES: &[Surface] = &[
    Surface {
        krate: "crates/ev-source",
        client: true,
        server: false,
        services: &[
            (".proto.AuthService", &["Ping", "GetEvents", "UpsertLock"]),
            (
                ".teleport.auditlog.v1.AuditLogService",
                &["GetUnstructuredEvents", "ExportUnstructuredEvents", "GetEventExportChunks"],
            ),
            (".ev.decoder.v1.DecoderModuleService", &["GetArtifact"]),
        ],
        // The answers of these streams are events themselves: they are called with a codec of their
        // own.
        messages: &[
            ".proto.StreamSessionEventsRequest",
            ".teleport.auditlog.v1.StreamUnstructuredSessionEventsRequest",
        ],
        own: &[],
    },
    Surface {
        krate: "crates/ev-modules",
        client: false,
        server: true,
        services: &[(".ev.decoder.v1.DecoderModuleService", &["GetArtifact"])],
        messages: &[],
        own: &[],
    },
    Surface {
        krate: "crates/ev-test-support",
        client: false,
        server: true,
        services: &[
            (
                ".proto.AuthService",
                &["Ping", "GetEvents", "UpsertLock", "StreamSessionEvents", "GetDomainName"],
            ),
            (
                ".teleport.auditlog.v1.AuditLogService",
                &[
                    "StreamUnstructuredSessionEvents",
                    "GetUnstructuredEvents",
                    "ExportUnstructuredEvents",
                    "GetEventExportChunks",
                ],
            ),
            (".ev.decoder.v1.DecoderModuleService", &["GetArtifact"]),
        ],
        messages: &[],
        own: &[
            (".events.OneOf", "crate::raw::RawMessage"),
            (".teleport.auditlog.v1.EventUnstructured", "crate::raw::RawMessage"),
        ],
    },
];

/// Generates everything; with `check` nothing is written and a difference is an error.
pub(crate) fn run(check: bool) -> Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("xtask has no parent")?;
    run_in(root, check)
}

fn run_in(root: &Path, check: bool) -> Result<()> {
    let all = compile(root)?;
    for surface in SURFACES {
        let generated =
            generate(&all, surface).with_context(|| format!("generating for {}", surface.krate))?;
        let folder = root.join(surface.krate).join("src/gen");
        if check { compare(&folder, &generated)? } else { write(&folder, &generated)? }
    }
    Ok(())
}

fn compile(root: &Path) -> Result<FileDescriptorSet> {
    let mut compiler = protox::Compiler::new(INCLUDES.iter().map(|dir| root.join(dir)))?;
    compiler.include_imports(true).include_source_info(true);
    for file in PROTOS {
        compiler.open_file(file).with_context(|| format!("compiling `{file}`"))?;
    }
    Ok(compiler.file_descriptor_set())
}

/// File name to content.
type Generated = BTreeMap<PathBuf, String>;

fn generate(all: &FileDescriptorSet, surface: &Surface) -> Result<Generated> {
    let pruned = prune(all, surface)?;
    let packages: BTreeSet<String> = pruned
        .file
        .iter()
        .map(|file| file.package().to_owned())
        .filter(|p| p != WELL_KNOWN)
        .collect();
    let out = scratch_folder(surface)?;
    let mut builder = tonic_prost_build::configure()
        .build_client(surface.client)
        .build_server(surface.server)
        // Connections are made by the crates themselves.
        .build_transport(false)
        .emit_rerun_if_changed(false)
        .bytes(".")
        .out_dir(&out);
    for (message, path) in surface.own {
        builder = builder.extern_path(*message, *path);
    }
    builder.compile_fds(pruned)?;

    let mut generated = Generated::new();
    for package in &packages {
        let name = format!("{package}.rs");
        let content =
            fs::read_to_string(out.join(&name)).with_context(|| format!("reading `{name}`"))?;
        generated.insert(name.into(), content);
    }
    generated.insert("mod.rs".into(), module(&packages));
    fs::remove_dir_all(&out)?;
    Ok(generated)
}

/// An empty folder for the generator to write to.
fn scratch_folder(surface: &Surface) -> Result<PathBuf> {
    let name = surface.krate.replace('/', "-");
    let out = std::env::temp_dir().join(format!("ev-codegen-{}-{name}", std::process::id()));
    if out.exists() {
        fs::remove_dir_all(&out)?;
    }
    fs::create_dir_all(&out)?;
    Ok(out)
}

/// The module that nests the packages as they refer to each other.
fn module(packages: &BTreeSet<String>) -> String {
    #[derive(Default)]
    struct Node {
        children: BTreeMap<String, Node>,
        file: Option<String>,
    }
    fn print(node: &Node, indent: usize, text: &mut String) {
        let pad = "    ".repeat(indent);
        for (name, child) in &node.children {
            text.push_str(&format!("{pad}pub mod {name} {{\n"));
            if let Some(file) = &child.file {
                text.push_str(&format!("{pad}    include!(\"{file}.rs\");\n"));
            }
            print(child, indent + 1, text);
            text.push_str(&format!("{pad}}}\n"));
        }
    }
    let mut root = Node::default();
    for package in packages {
        let mut node = &mut root;
        for part in package.split('.') {
            node = node.children.entry(part.to_owned()).or_default();
        }
        node.file = Some(package.clone());
    }
    let mut text = String::from(
        "//! Generated by `cargo xtask codegen` from `proto/`; not edited by hand.\n\n\
         #![allow(missing_docs, unreachable_pub, dead_code, clippy::all, clippy::pedantic)]\n\n",
    );
    print(&root, 0, &mut text);
    text
}

/// Cuts the descriptors down to the services and what they reach.
fn prune(all: &FileDescriptorSet, surface: &Surface) -> Result<FileDescriptorSet> {
    let mut set = all.clone();
    set.file.iter_mut().for_each(declare_raw_fields);
    for file in &mut set.file {
        let package = file.package().to_owned();
        for service in &mut file.service {
            let name = format!(".{package}.{}", service.name());
            let wanted =
                surface.services.iter().find(|(n, _)| *n == name).map_or(&[][..], |(_, m)| m);
            for method in wanted {
                ensure!(
                    service.method.iter().any(|m| m.name() == *method),
                    "`{name}` has no method `{method}`"
                );
            }
            service.method.retain(|method| wanted.contains(&method.name()));
        }
        file.service.retain(|service| !service.method.is_empty());
    }

    let reached = reach(&set, surface)?;
    // The generator looks at the well-known types, although it generates nothing for them.
    let (known, mut own): (Vec<_>, Vec<_>) =
        set.file.into_iter().partition(|file| file.package() == WELL_KNOWN);
    for file in &mut own {
        let prefix = format!(".{}", file.package());
        let before = (file.message_type.len(), file.enum_type.len());
        file.message_type
            .retain(|message| reached.contains(&format!("{prefix}.{}", message.name())));
        file.enum_type.retain(|item| reached.contains(&format!("{prefix}.{}", item.name())));
        file.extension.clear();
        // Comments are found by position, which pruning has moved.
        if before != (file.message_type.len(), file.enum_type.len()) {
            file.source_code_info = None;
        }
    }
    own.retain(|file| {
        !(file.message_type.is_empty() && file.enum_type.is_empty() && file.service.is_empty())
    });
    Ok(FileDescriptorSet { file: known.into_iter().chain(own).collect() })
}

fn declare_raw_fields(file: &mut FileDescriptorProto) {
    let package = file.package().to_owned();
    for message in &mut file.message_type {
        let name = format!(".{package}.{}", message.name());
        if let Some((_, kept)) = KEPT_FIELDS.iter().find(|(of, _)| *of == name) {
            message.field.retain(|field| kept.contains(&field.name()));
        }
        for field in &mut message.field {
            if RAW_FIELDS.contains(&(name.as_str(), field.name())) {
                field.set_type(Type::Bytes);
                field.type_name = None;
            }
        }
    }
}

/// Full names of the top-level messages and enums that are wanted, and of what they refer to.
fn reach(set: &FileDescriptorSet, surface: &Surface) -> Result<BTreeSet<String>> {
    let mut messages: BTreeMap<String, &DescriptorProto> = BTreeMap::new();
    let mut queue: Vec<String> = surface.messages.iter().map(|name| (*name).to_owned()).collect();
    let mut services = BTreeSet::new();
    for file in &set.file {
        for message in &file.message_type {
            messages.insert(format!(".{}.{}", file.package(), message.name()), message);
        }
        for service in &file.service {
            services.insert(format!(".{}.{}", file.package(), service.name()));
            for method in &service.method {
                queue.push(method.input_type().to_owned());
                queue.push(method.output_type().to_owned());
            }
        }
    }
    for (service, _) in surface.services {
        ensure!(services.contains(*service), "there is no service `{service}`");
    }
    let mut reached = BTreeSet::new();
    while let Some(name) = queue.pop() {
        if name.starts_with(".google.protobuf.") || surface.own.iter().any(|(own, _)| *own == name)
        {
            continue;
        }
        if reached.insert(name.clone())
            && let Some(message) = messages.get(&name)
        {
            referred(message, &mut queue);
        }
    }
    Ok(reached)
}

fn referred(message: &DescriptorProto, queue: &mut Vec<String>) {
    queue.extend(message.field.iter().filter_map(|field| field.type_name.clone()));
    message.nested_type.iter().for_each(|nested| referred(nested, queue));
}

fn write(folder: &Path, generated: &Generated) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    for (name, content) in generated {
        fs::write(folder.join(name), content)?;
    }
    Ok(())
}

fn compare(folder: &Path, generated: &Generated) -> Result<()> {
    let mut differing = Vec::new();
    for (name, content) in generated {
        let path = folder.join(name);
        if fs::read_to_string(&path).ok().as_ref() != Some(content) {
            differing.push(path);
        }
    }
    let there = fs::read_dir(folder).with_context(|| format!("reading `{}`", folder.display()))?;
    for entry in there {
        let entry = entry?;
        if !generated.contains_key(Path::new(&entry.file_name())) {
            differing.push(entry.path());
        }
    }
    if differing.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = differing.iter().map(|path| path.display().to_string()).collect();
    bail!("not up to date, run `cargo xtask codegen`: {}", list.join(", "))
}
