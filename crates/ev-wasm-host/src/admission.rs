//! What is looked at before a module is compiled: size, features, imports, exports, memory.

use ev_core::abi;
use wasmparser::types::{EntityType, TypesRef};
use wasmparser::{CompositeInnerType, Export, Parser, Payload, ValType, Validator, WasmFeatures};

use crate::error::HostError;
use crate::limits::Limits;

/// WebAssembly 2.0 without SIMD and without types that a collector would have to watch: what
/// compilers use for plain code. Everything else is code in the engine that our modules do not need.
pub(crate) const FEATURES: WasmFeatures =
    WasmFeatures::WASM2.difference(WasmFeatures::SIMD).difference(WasmFeatures::GC_TYPES);

/// Bytes in a page of memory.
const PAGE: u64 = 65_536;

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

/// Refuses what must not be compiled.
///
/// # Errors
///
/// The variants of [`HostError`] about modules, the first one that applies.
pub(crate) fn check(module: &[u8], limits: &Limits) -> Result<(), HostError> {
    if module.len() > limits.module_bytes {
        let (size, limit) = (module.len(), limits.module_bytes);
        return Err(HostError::ModuleTooLarge { size, limit });
    }
    // Structure first, so that each refusal has its own name; then validity, without which the
    // indices of exports mean nothing.
    let exports = structure(module, limits)?;
    let types = Validator::new_with_features(FEATURES).validate_all(module).map_err(invalid)?;
    memory_export(&exports, types.as_ref())?;
    FUNCTIONS.iter().try_for_each(|wanted| function_export(wanted, &exports, types.as_ref()))
}

fn structure<'m>(module: &'m [u8], limits: &Limits) -> Result<Vec<Export<'m>>, HostError> {
    let mut exports = Vec::new();
    let mut memories = Vec::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(invalid)? {
            Payload::ImportSection(section) => {
                if let Some(import) = section.into_imports().next() {
                    let import = import.map_err(invalid)?;
                    let (module, name) = (import.module.to_owned(), import.name.to_owned());
                    return Err(HostError::Import { module, name });
                }
            }
            Payload::StartSection { .. } => return Err(HostError::StartFunction),
            Payload::MemorySection(section) => {
                for memory in section {
                    memories.push(memory.map_err(invalid)?.initial);
                }
            }
            Payload::ExportSection(section) => {
                for export in section {
                    exports.push(export.map_err(invalid)?);
                }
            }
            _ => {}
        }
    }
    let [pages] = memories.as_slice() else {
        return Err(HostError::Memories { count: memories.len() });
    };
    let bytes = pages.saturating_mul(PAGE);
    if bytes > limits.initial_memory_bytes as u64 {
        return Err(HostError::InitialMemory { bytes, limit: limits.initial_memory_bytes });
    }
    Ok(exports)
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
    if let Some(EntityType::Func(id)) = entity
        && let CompositeInnerType::Func(found) = &types[id].composite_type.inner
        && (found.params(), found.results()) == (wanted.params, wanted.results)
    {
        return Ok(());
    }
    let (expected, found) = (wanted.text, describe(entity, types));
    Err(HostError::MistypedExport { name, expected, found })
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
