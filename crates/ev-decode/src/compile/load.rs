//! Reading a schema: a descriptor set, plain or gzip, or a tree of `.proto` files.

use std::io::Read as _;
use std::path::Path;

use flate2::read::GzDecoder;
use prost_reflect::DescriptorPool;
use protox::Compiler;
use protox::file::{
    ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver,
};

use super::CompileError;
use super::known::EVENTS_FILE;

/// A descriptor set of Teleport's whole API is below 2 MiB; more than this is none.
const MAX_SET_LEN: u64 = 64 << 20;

/// Folders of a tree in which the `.proto` files may lie: the tree itself, `proto`, and where a
/// checkout of Teleport has them.
const ROOTS: [&str; 3] = ["", "proto", "api/proto"];

pub(super) fn descriptor_set(bytes: &[u8]) -> Result<DescriptorPool, CompileError> {
    let plain;
    let bytes = if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut unpacked = Vec::new();
        GzDecoder::new(bytes)
            .take(MAX_SET_LEN)
            .read_to_end(&mut unpacked)
            .map_err(|source| CompileError::Unpack { source })?;
        plain = unpacked;
        &plain[..]
    } else {
        bytes
    };
    DescriptorPool::decode(bytes).map_err(|source| CompileError::Descriptors { source })
}

pub(super) fn path(path: &Path) -> Result<DescriptorPool, CompileError> {
    if path.is_dir() {
        return directory(path);
    }
    let read = |source| CompileError::Read { path: path.to_owned(), source };
    let file = std::fs::File::open(path).map_err(read)?;
    let mut bytes = Vec::new();
    file.take(MAX_SET_LEN).read_to_end(&mut bytes).map_err(read)?;
    descriptor_set(&bytes)
}

fn directory(tree: &Path) -> Result<DescriptorPool, CompileError> {
    let root = ROOTS
        .iter()
        .map(|root| tree.join(root))
        .find(|root| root.join(EVENTS_FILE).is_file())
        .ok_or_else(|| CompileError::NoEventsFile { tree: tree.to_owned() })?;
    let mut resolver = ChainFileResolver::new();
    resolver.add(IncludeFileResolver::new(root));
    resolver.add(GogoFileResolver);
    resolver.add(GoogleFileResolver::new());
    let failed = |source| CompileError::Proto { source };
    let mut compiler = Compiler::with_file_resolver(resolver);
    compiler.include_imports(true);
    compiler.open_file(EVENTS_FILE).map_err(failed)?;
    Ok(compiler.descriptor_pool())
}

/// `gogoproto/gogo.proto` for trees that take it from elsewhere, as a checkout of Teleport does.
struct GogoFileResolver;

impl FileResolver for GogoFileResolver {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == "gogoproto/gogo.proto" {
            return File::from_source(name, include_str!("gogo.proto"));
        }
        Err(protox::Error::file_not_found(name))
    }
}
