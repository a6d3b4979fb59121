//! What is looked at before a module is compiled: size, features, imports, exports, memory.

use ev_core::abi;
use wasmparser::types::{EntityType, TypesRef};
use wasmparser::{
    CompositeInnerType, Export, Import, Parser, Payload, ValType, Validator, WasmFeatures,
};

use crate::answer::printable;
use crate::error::HostError;
use crate::limits::Limits;
use crate::wasi;

/// WebAssembly 2.0 without SIMD and without types that a collector would have to watch: what
/// compilers use for plain code. Everything else is code in the engine that our modules do not need.
pub(crate) const FEATURES: WasmFeatures =
    WasmFeatures::WASM2.difference(WasmFeatures::SIMD).difference(WasmFeatures::GC_TYPES);

/// Bytes in a page of memory.
const PAGE: u64 = 65_536;

/// Longest name of a module's import in a message, in characters.
const MAX_NAME: usize = 100;

/// A function of the ABI.
struct Function {
    name: &'static str,
    params: &'static [ValType],
    results: &'static [ValType],
    text: &'static str,
    optional: bool,
}

const fn function(
    name: &'static str,
    params: &'static [ValType],
    results: &'static [ValType],
    text: &'static str,
) -> Function {
    Function { name, params, results, text, optional: false }
}

const I32: ValType = ValType::I32;
const I64: ValType = ValType::I64;

const FUNCTIONS: [Function; 6] = [
    function(abi::EXPORT_ABI_VERSION, &[], &[I32], "() -> i32"),
    function(abi::EXPORT_ALLOC, &[I32], &[I32], "(i32) -> i32"),
    function(abi::EXPORT_DECODE_BATCH, &[I32, I32, I32], &[I64], "(i32, i32, i32) -> i64"),
    function(abi::EXPORT_DESCRIBE, &[], &[I64], "() -> i64"),
    function(abi::EXPORT_ERROR, &[], &[I64], "() -> i64"),
    Function { optional: true, ..function(abi::EXPORT_INITIALIZE, &[], &[], "() -> ()") },
];

/// What a module wants from the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing, as our own.
    Nothing,
    /// Functions of [`wasi`].
    Wasi,
}

/// Refuses what must not be compiled. `wasi` are the limits for modules that import WASI, if these
/// are allowed at all.
///
/// # Errors
///
/// The variants of [`HostError`] about modules, the first one that applies.
pub(crate) fn check(
    module: &[u8],
    limits: &Limits,
    wasi: Option<&Limits>,
) -> Result<Needs, HostError> {
    // Before it is known what the module imports.
    let largest = wasi.map_or(0, |wasi| wasi.module_bytes).max(limits.module_bytes);
    check_size(module, largest)?;
    // Structure first, so that each refusal has its own name; then validity, without which the
    // indices of exports mean nothing.
    let structure = structure(module)?;
    let needs = needs(&structure, wasi.is_some())?;
    let limits = match needs {
        Needs::Nothing => limits,
        Needs::Wasi => wasi.unwrap_or(limits),
    };
    check_size(module, limits.module_bytes)?;
    if structure.starts {
        return Err(HostError::StartFunction);
    }
    let [pages] = structure.memories.as_slice() else {
        return Err(HostError::Memories { count: structure.memories.len() });
    };
    let bytes = pages.saturating_mul(PAGE);
    if bytes > limits.initial_memory_bytes as u64 {
        return Err(HostError::InitialMemory { bytes, limit: limits.initial_memory_bytes });
    }
    let types = Validator::new_with_features(FEATURES).validate_all(module).map_err(invalid)?;
    let (imports, exports, types) = (&structure.imports, &structure.exports, types.as_ref());
    imports.iter().try_for_each(|import| import_type(import, types))?;
    memory_export(exports, types)?;
    FUNCTIONS.iter().try_for_each(|wanted| function_export(wanted, exports, types))?;
    Ok(needs)
}

fn check_size(module: &[u8], limit: usize) -> Result<(), HostError> {
    let size = module.len();
    if size <= limit { Ok(()) } else { Err(HostError::ModuleTooLarge { size, limit }) }
}

/// What stands in the sections that are looked at.
#[derive(Default)]
struct Structure<'m> {
    imports: Vec<Import<'m>>,
    exports: Vec<Export<'m>>,
    /// Pages at the start of each memory.
    memories: Vec<u64>,
    starts: bool,
}

fn structure(module: &[u8]) -> Result<Structure<'_>, HostError> {
    let mut found = Structure::default();
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(invalid)? {
            Payload::ImportSection(section) => {
                for import in section.into_imports() {
                    found.imports.push(import.map_err(invalid)?);
                }
            }
            Payload::StartSection { .. } => found.starts = true,
            Payload::MemorySection(section) => {
                for memory in section {
                    found.memories.push(memory.map_err(invalid)?.initial);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    found.exports.push(export.map_err(invalid)?);
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// What the imports amount to; whatever is not offered is refused by its name.
fn needs(structure: &Structure<'_>, allow_wasi: bool) -> Result<Needs, HostError> {
    let mut first = None;
    for import in &structure.imports {
        match offered(import) {
            Some(function) => first = first.or(Some(function.name)),
            None if is_javascript(import) => return Err(javascript(import, &structure.exports)),
            None => {
                let (module, name) = (short(import.module), short(import.name));
                return Err(HostError::Import { module, name });
            }
        }
    }
    match first {
        None => Ok(Needs::Nothing),
        Some(_) if allow_wasi => Ok(Needs::Wasi),
        Some(name) => Err(HostError::WasiNotAllowed { name }),
    }
}

fn offered(import: &Import<'_>) -> Option<&'static wasi::Function> {
    let named = |function: &&wasi::Function| function.name == import.name;
    wasi::FUNCTIONS.iter().find(named).filter(|_| import.module == wasi::MODULE)
}

/// Go calls the namespace of its JavaScript host `gojs` since 1.21, and called it `go` before.
fn is_javascript(import: &Import<'_>) -> bool {
    ["gojs", "go"].contains(&import.module)
}

fn javascript(import: &Import<'_>, exports: &[Export<'_>]) -> HostError {
    let wanted = FUNCTIONS.iter().filter(|function| !function.optional).map(|f| f.name);
    let missing: Vec<_> = std::iter::once(abi::EXPORT_MEMORY)
        .chain(wanted)
        .filter(|name| find(exports, name).is_none())
        .map(|name| format!("`{name}`"))
        .collect();
    let import = short(&format!("{}.{}", import.module, import.name));
    HostError::GoJs { import, missing: missing.join(", ") }
}

/// A name that the module's author chose, fit for a log line.
fn short(name: &str) -> String {
    let mut name = printable(name);
    if let Some((end, _)) = name.char_indices().nth(MAX_NAME) {
        name.truncate(end);
        name.push('…');
    }
    name
}

/// An import that is offered, as its name says, must be of the function's type.
fn import_type(import: &Import<'_>, types: TypesRef<'_>) -> Result<(), HostError> {
    let Some(offered) = offered(import) else {
        let (module, name) = (short(import.module), short(import.name));
        return Err(HostError::Import { module, name });
    };
    let entity = types.entity_type_from_import(import);
    if is_function(entity, offered.params, offered.results, types) {
        return Ok(());
    }
    let (name, expected, found) = (offered.name, offered.text, describe(entity, types));
    Err(HostError::MistypedImport { name, expected, found })
}

fn invalid(error: wasmparser::BinaryReaderError) -> HostError {
    HostError::InvalidModule(error.into())
}

fn memory_export(exports: &[Export<'_>], types: TypesRef<'_>) -> Result<(), HostError> {
    let name = abi::EXPORT_MEMORY;
    let export = find(exports, name).ok_or(HostError::MissingExport { name })?;
    match types.entity_type_from_export(export) {
        Some(EntityType::Memory(_)) => Ok(()),
        other => Err(HostError::MistypedExport {
            name,
            expected: "memory",
            found: describe(other, types),
        }),
    }
}

fn function_export(
    wanted: &Function,
    exports: &[Export<'_>],
    types: TypesRef<'_>,
) -> Result<(), HostError> {
    let name = wanted.name;
    let Some(export) = find(exports, name) else {
        return if wanted.optional { Ok(()) } else { Err(HostError::MissingExport { name }) };
    };
    let entity = types.entity_type_from_export(export);
    if is_function(entity, wanted.params, wanted.results, types) {
        return Ok(());
    }
    let (expected, found) = (wanted.text, describe(entity, types));
    Err(HostError::MistypedExport { name, expected, found })
}

fn is_function(
    entity: Option<EntityType>,
    params: &[ValType],
    results: &[ValType],
    types: TypesRef<'_>,
) -> bool {
    let Some(EntityType::Func(id)) = entity else { return false };
    match &types[id].composite_type.inner {
        CompositeInnerType::Func(found) => (found.params(), found.results()) == (params, results),
        _ => false,
    }
}

fn find<'a, 'm>(exports: &'a [Export<'m>], name: &str) -> Option<&'a Export<'m>> {
    exports.iter().find(|export| export.name == name)
}

fn describe(entity: Option<EntityType>, types: TypesRef<'_>) -> String {
    let list =
        |types: &[ValType]| types.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
    match entity {
        Some(EntityType::Func(id)) => match &types[id].composite_type.inner {
            CompositeInnerType::Func(found) => match found.results() {
                [one] => format!("({}) -> {one}", list(found.params())),
                results => format!("({}) -> ({})", list(found.params()), list(results)),
            },
            _ => "another type".into(),
        },
        Some(EntityType::Memory(_)) => "memory".into(),
        Some(EntityType::Table(_)) => "table".into(),
        Some(EntityType::Global(_)) => "global".into(),
        _ => "something else".into(),
    }
}
