//! Building a module without a compiler: the guest template plus a schema table.
//!
//! The guest is compiled once per release. It exports the address of a static
//! `EV_TABLE: [u32; 2]` (address and length of its table, little-endian, zero in the template).
//! A module is the template with:
//!
//! - the memory's minimum raised by the pages that the table needs;
//! - the table as an active data segment at the old end of the memory, where nothing else lives:
//!   the guest's allocator only takes pages that it grows itself;
//! - address and length in a second active segment over `EV_TABLE`;
//! - the data count section corrected, custom sections dropped, and of the exports only those of
//!   the ABI, so that the host's list of exports is exact.
//!
//! All else is copied byte for byte, so all modules of a release share their code bytes, and the
//! same inputs give the same bytes.

use std::ops::Range;

use ev_core::abi;
use wasm_encoder::{
    ConstExpr, DataCountSection, DataSection, ExportKind, ExportSection, MemorySection, MemoryType,
    Module, RawSection,
};
use wasmparser::{
    DataKind, Export, ExternalKind, Operator, Parser, Payload, Validator, WasmFeatures,
};

/// Size of a page of WebAssembly memory in bytes.
const PAGE: u64 = 64 * 1024;
/// Name of the exported static with the table's address and length.
const TABLE_STATIC: &str = "EV_TABLE";
/// Exports of the ABI that every module has.
const REQUIRED: [&str; 6] = [
    abi::EXPORT_MEMORY,
    abi::EXPORT_ABI_VERSION,
    abi::EXPORT_ALLOC,
    abi::EXPORT_DECODE_BATCH,
    abi::EXPORT_DESCRIBE,
    abi::EXPORT_ERROR,
];
/// Kept if the template has it: what a reactor wants to be called first.
const OPTIONAL: &str = abi::EXPORT_INITIALIZE;

/// A module cannot be built from this template or table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// The template is no valid module within the features that the host allows.
    #[error("template is not valid: {what}")]
    InvalidTemplate {
        /// What the validator says.
        what: String,
    },
    /// The template has something that a module must not have.
    #[error("template has {what}")]
    Forbidden {
        /// What it is.
        what: &'static str,
    },
    /// The template lacks an export, or it is not what it should be.
    #[error("template does not export `{name}` as {expected}")]
    Export {
        /// The export's name.
        name: &'static str,
        /// What it should be.
        expected: &'static str,
    },
    /// There is no table to add.
    #[error("the table is empty")]
    EmptyTable,
    /// Template and table together need more memory than the template allows or 32 bits address.
    #[error("the table of {table_bytes} bytes does not fit behind the template's memory")]
    MemoryFull {
        /// Length of the table.
        table_bytes: usize,
    },
    /// What was built is not valid: a defect of the builder, never of its caller.
    #[error("the built module is not valid: {what}")]
    InvalidResult {
        /// What the validator says.
        what: String,
    },
}

/// The guest template of this release.
pub fn template() -> &'static [u8] {
    include_bytes!("../template/decoder-template.wasm")
}

/// Adds a table to a template, without the names of its fields: a guest tells places, not names.
///
/// # Errors
///
/// When the template is not one, or the table is empty or too large.
pub fn build_module(template: &[u8], table: &[u8]) -> Result<Vec<u8>, BuildError> {
    if table.is_empty() {
        return Err(BuildError::EmptyTable);
    }
    validate(template).map_err(|what| BuildError::InvalidTemplate { what })?;
    let parts = Parts::of(template)?;
    let table = ev_decode::without_names(table);
    let placed = parts.place(table.len())?;
    let module = parts.assemble(template, &table, &placed);
    validate(&module).map_err(|what| BuildError::InvalidResult { what })?;
    Ok(module)
}

/// The table of a module that [`build_module`] made, or `None` for any other module.
pub fn table_of_module(module: &[u8]) -> Option<&[u8]> {
    let mut data = None;
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::DataSection(reader) = payload.ok()? {
            data = Some(reader);
        }
    }
    let mut last_two = [None, None];
    for segment in data? {
        let segment = segment.ok()?;
        let DataKind::Active { memory_index: 0, offset_expr } = segment.kind else { return None };
        last_two = [last_two[1], Some((constant(&offset_expr)?, segment.data))];
    }
    let [Some((address, table)), Some((_, pointer))] = last_two else { return None };
    let len = u32::try_from(table.len()).ok()?;
    (pointer == [address.to_le_bytes(), len.to_le_bytes()].concat()).then_some(table)
}

/// What the builder needs to know of a template.
struct Parts<'a> {
    memory: wasmparser::MemoryType,
    exports: Vec<Export<'a>>,
    table_static: u32,
    /// Sections in their order: id and contents in the template.
    sections: Vec<(u8, Range<usize>)>,
    data_segments: Vec<Range<usize>>,
}

/// Where the table goes.
struct Placed {
    address: u32,
    len: u32,
    pages: u64,
}

const MEMORY: u8 = 5;
const EXPORT: u8 = 7;
const CODE: u8 = 10;
const DATA: u8 = 11;
const DATA_COUNT: u8 = 12;

impl<'a> Parts<'a> {
    fn of(template: &'a [u8]) -> Result<Self, BuildError> {
        let invalid = |error: wasmparser::BinaryReaderError| BuildError::InvalidTemplate {
            what: error.to_string(),
        };
        let mut memories = Vec::new();
        let mut exports = Vec::new();
        let mut globals = Vec::new();
        let mut sections = Vec::new();
        let mut data_segments = Vec::new();
        for payload in Parser::new(0).parse_all(template) {
            let payload = payload.map_err(invalid)?;
            if let Some((id, range)) = payload.as_section()
                && id != 0
            {
                sections.push((id, range));
            }
            match payload {
                Payload::ImportSection(reader) if reader.count() != 0 => {
                    return Err(BuildError::Forbidden { what: "imports" });
                }
                Payload::StartSection { .. } => {
                    return Err(BuildError::Forbidden { what: "a start function" });
                }
                Payload::MemorySection(reader) => {
                    memories = reader.into_iter().collect::<Result<_, _>>().map_err(invalid)?;
                }
                Payload::GlobalSection(reader) => {
                    globals = reader.into_iter().collect::<Result<_, _>>().map_err(invalid)?;
                }
                Payload::ExportSection(reader) => {
                    exports = reader.into_iter().collect::<Result<_, _>>().map_err(invalid)?;
                }
                Payload::DataSection(reader) => {
                    for segment in reader {
                        data_segments.push(segment.map_err(invalid)?.range);
                    }
                }
                _ => {}
            }
        }
        let [memory] = memories[..] else {
            return Err(BuildError::Export {
                name: abi::EXPORT_MEMORY,
                expected: "its only memory",
            });
        };
        let table_static = table_static(&exports, &globals)?;
        check_exports(&exports)?;
        Ok(Self { memory, exports, table_static, sections, data_segments })
    }

    /// Puts the table at the old end of the memory.
    fn place(&self, table_bytes: usize) -> Result<Placed, BuildError> {
        let full = BuildError::MemoryFull { table_bytes };
        let old_end = self.memory.initial.checked_mul(PAGE);
        let (Some(old_end), Ok(len)) = (old_end, u32::try_from(table_bytes)) else {
            return Err(full);
        };
        // Eight bytes of the static, in memory that the template itself has.
        if u64::from(self.table_static) + 8 > old_end {
            return Err(BuildError::Export {
                name: TABLE_STATIC,
                expected: "an address inside its memory",
            });
        }
        let pages = self.memory.initial + u64::from(len).div_ceil(PAGE);
        let limit = self.memory.maximum.unwrap_or(u64::MAX).min((1 << 32) / PAGE);
        let Ok(address) = u32::try_from(old_end) else { return Err(full) };
        if pages > limit { Err(full) } else { Ok(Placed { address, len, pages }) }
    }

    fn assemble(&self, template: &[u8], table: &[u8], placed: &Placed) -> Vec<u8> {
        let mut module = Module::new();
        let data = self.data_section(template, table, placed);
        let mut data = Some(data);
        for (id, range) in &self.sections {
            // A template without a data section gets one where it belongs: behind the code.
            match *id {
                MEMORY => {
                    module.section(&self.memory_section(placed));
                }
                EXPORT => {
                    module.section(&self.export_section());
                }
                DATA_COUNT => {
                    // The validator has seen that there are fewer than 100,000 segments.
                    let count = u32::try_from(self.data_segments.len()).unwrap_or(u32::MAX);
                    module.section(&DataCountSection { count: count.saturating_add(2) });
                }
                DATA => {
                    if let Some(data) = data.take() {
                        module.section(&data);
                    }
                }
                id => {
                    module.section(&RawSection { id, data: &template[range.clone()] });
                    let has_data = !self.data_segments.is_empty();
                    if id == CODE
                        && !has_data
                        && !self.sections.iter().any(|(id, _)| *id == DATA)
                        && let Some(data) = data.take()
                    {
                        module.section(&data);
                    }
                }
            }
        }
        module.finish()
    }

    fn memory_section(&self, placed: &Placed) -> MemorySection {
        let mut section = MemorySection::new();
        section.memory(MemoryType {
            minimum: placed.pages,
            maximum: self.memory.maximum,
            // The validator has refused these features.
            memory64: false,
            shared: false,
            page_size_log2: None,
        });
        section
    }

    fn export_section(&self) -> ExportSection {
        let mut section = ExportSection::new();
        for export in &self.exports {
            if REQUIRED.contains(&export.name) || export.name == OPTIONAL {
                let kind = match export.kind {
                    ExternalKind::Memory => ExportKind::Memory,
                    _ => ExportKind::Func,
                };
                section.export(export.name, kind, export.index);
            }
        }
        section
    }

    fn data_section(&self, template: &[u8], table: &[u8], placed: &Placed) -> DataSection {
        let mut section = DataSection::new();
        for range in &self.data_segments {
            section.raw(&template[range.clone()]);
        }
        let at = |address: u32| ConstExpr::i32_const(address.cast_signed());
        section.active(0, &at(placed.address), table.iter().copied());
        // Behind all others, because segments are written in their order.
        let pointer = [placed.address.to_le_bytes(), placed.len.to_le_bytes()].concat();
        section.active(0, &at(self.table_static), pointer);
        section
    }
}

/// The address that the global `EV_TABLE` holds.
fn table_static(
    exports: &[Export<'_>],
    globals: &[wasmparser::Global<'_>],
) -> Result<u32, BuildError> {
    exports
        .iter()
        .find(|export| export.name == TABLE_STATIC && export.kind == ExternalKind::Global)
        .and_then(|export| globals.get(usize::try_from(export.index).ok()?))
        .filter(|global| !global.ty.mutable)
        .and_then(|global| constant(&global.init_expr))
        .ok_or(BuildError::Export { name: TABLE_STATIC, expected: "a constant address" })
}

/// Names and kinds only: the host checks the functions' types before it compiles.
fn check_exports(exports: &[Export<'_>]) -> Result<(), BuildError> {
    for name in REQUIRED {
        let (kind, expected) = match name {
            abi::EXPORT_MEMORY => (ExternalKind::Memory, "its only memory"),
            _ => (ExternalKind::Func, "a function"),
        };
        if !exports.iter().any(|export| export.name == name && export.kind == kind) {
            return Err(BuildError::Export { name, expected });
        }
    }
    let optional = exports.iter().find(|export| export.name == OPTIONAL);
    if optional.is_some_and(|export| export.kind != ExternalKind::Func) {
        return Err(BuildError::Export { name: OPTIONAL, expected: "a function" });
    }
    Ok(())
}

/// The value of an expression that is one `i32.const`.
fn constant(expression: &wasmparser::ConstExpr<'_>) -> Option<u32> {
    let mut operators = expression.get_operators_reader();
    match (operators.read().ok()?, operators.read().ok()?) {
        (Operator::I32Const { value }, Operator::End) => Some(value.cast_unsigned()),
        _ => None,
    }
}

/// Within the features that the host's engine has switched on: WebAssembly 2.0 without SIMD.
fn validate(module: &[u8]) -> Result<(), String> {
    let features = WasmFeatures::WASM2 & !WasmFeatures::SIMD;
    Validator::new_with_features(features)
        .validate_all(module)
        .map(|_| ())
        .map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const FUNCTIONS: &str = r#"
        (func (export "ev_abi_version") (result i32) i32.const 1)
        (func (export "ev_alloc") (param i32) (result i32) i32.const 0)
        (func (export "ev_decode_batch") (param i32 i32 i32) (result i32) i32.const 0)
        (func (export "ev_describe") (result i64) i64.const 0)
        (func (export "ev_error") (result i64) i64.const 0)
        (func (export "not_of_the_abi"))"#;
    const STATICS: &str = r#"
        (memory (export "memory") 2)
        (global (export "EV_TABLE") i32 (i32.const 1024))
        (global (export "__heap_base") i32 (i32.const 2048))
        (data (i32.const 1020) "before\00\00\00\00\00\00\00\00")"#;

    fn wat(text: &str) -> Vec<u8> {
        wat::parse_str(format!("(module {text})")).unwrap()
    }

    fn template() -> Vec<u8> {
        wat(&format!("{STATICS}{FUNCTIONS}(@custom \"notes\" \"dropped\")"))
    }

    /// Names of the exports, and what active segments make of the memory.
    fn run(module: &[u8]) -> (Vec<String>, Vec<u8>) {
        let mut names = Vec::new();
        let mut memory = Vec::new();
        for payload in Parser::new(0).parse_all(module) {
            match payload.unwrap() {
                Payload::MemorySection(reader) => {
                    let pages = reader.into_iter().next().unwrap().unwrap().initial;
                    memory.resize(usize::try_from(pages * PAGE).unwrap(), 0);
                }
                Payload::ExportSection(reader) => {
                    names.extend(reader.into_iter().map(|e| e.unwrap().name.to_owned()));
                }
                Payload::CustomSection(_) => panic!("custom sections are dropped"),
                Payload::DataSection(reader) => {
                    for segment in reader {
                        let segment = segment.unwrap();
                        let DataKind::Active { offset_expr, .. } = segment.kind else {
                            continue;
                        };
                        let at = constant(&offset_expr).unwrap() as usize;
                        memory[at..at + segment.data.len()].copy_from_slice(segment.data);
                    }
                }
                _ => {}
            }
        }
        (names, memory)
    }

    #[test]
    fn the_table_lies_behind_the_old_memory_and_the_static_points_at_it() {
        let table: Vec<u8> = (0..70_000u32).map(|i| i.to_le_bytes()[0]).collect();
        let module = build_module(&template(), &table).unwrap();
        assert_eq!(module, build_module(&template(), &table).unwrap(), "same inputs, same bytes");
        let (names, memory) = run(&module);
        assert_eq!(names, REQUIRED);
        assert_eq!(memory.len(), 4 * 65_536, "two pages and two for 70,000 bytes");
        assert_eq!(memory[131_072..131_072 + 70_000], table);
        assert_eq!(memory[1020..1024], *b"befo", "what was there stays");
        assert_eq!(memory[1024..1028], 131_072u32.to_le_bytes());
        assert_eq!(memory[1028..1032], 70_000u32.to_le_bytes());
        assert_eq!(table_of_module(&module), Some(&table[..]));
        assert_eq!(table_of_module(&template()), None);
    }

    #[test]
    fn the_template_of_this_release_is_one() {
        let module = build_module(super::template(), b"some table").unwrap();
        assert_eq!(table_of_module(&module), Some(&b"some table"[..]));
        let names = run(&module).0;
        assert!(REQUIRED.iter().all(|name| names.iter().any(|n| n == name)), "{names:?}");
    }

    #[test]
    fn optional_parts_of_a_template() {
        let initialize = "(func (export \"_initialize\"))";
        let module = build_module(&wat(&format!("{STATICS}{FUNCTIONS}{initialize}")), b"t");
        assert!(run(&module.unwrap()).0.contains(&"_initialize".to_owned()));

        // No data section of its own, and one with a data count in front of the code.
        let no_data = STATICS.replace("(data", "(; (data").replace("00\")", "00\") ;)");
        let module = build_module(&wat(&format!("{no_data}{FUNCTIONS}")), b"t").unwrap();
        assert_eq!(run(&module).1[131_072], b't');
        let counted = "(data $d \"x\") (func (data.drop $d))";
        let module = build_module(&wat(&format!("{STATICS}{FUNCTIONS}{counted}")), b"t").unwrap();
        assert_eq!(run(&module).1[131_072], b't');
        assert_eq!(table_of_module(&module), None, "a passive segment is not of our making");
    }

    #[test]
    fn odd_templates_are_errors() {
        let check = |text: String, expected: &str| {
            let error = build_module(&wat(&text), b"table").expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        };
        let both = format!("{STATICS}{FUNCTIONS}");
        let replaced = |from: &str, to: &str| {
            let text = both.replace(from, to);
            assert_ne!(text, both);
            text
        };
        check(String::new(), "`memory`");
        check(format!("(import \"e\" \"f\" (func)){both}"), "imports");
        check(format!("{both}(start 5)"), "a start function");
        for name in ["ev_abi_version", "ev_alloc", "ev_decode_batch", "ev_describe", "ev_error"] {
            check(replaced(name, "other"), name);
        }
        check(replaced("EV_TABLE", "other"), "`EV_TABLE` as a constant address");
        check(replaced("\"EV_TABLE\") i32", "\"EV_TABLE\") (mut i32)"), "constant address");
        check(replaced("(i32.const 1024)", "(i32.const 131065)"), "inside its memory");
        check(replaced("(i32.const 1024)", "(i32.const -1)"), "inside its memory");
        check(replaced("\"memory\") 2", "\"memory\") 2 2"), "does not fit");
        check(replaced("\"memory\") 2", "\"memory\") 65536"), "does not fit");
        check(replaced("\"memory\") 2", "\"memory\") i64 2"), "not valid");
        check(format!("(memory 1){both}"), "not valid");
        check(format!("{both}(global (export \"_initialize\") i32 (i32.const 0))"), "_initialize");
        assert_eq!(build_module(&template(), b""), Err(BuildError::EmptyTable));
    }

    #[test]
    fn no_prefix_and_no_flipped_byte_of_a_template_panics() {
        let template = template();
        let check = |odd: &[u8]| {
            if let Ok(module) = build_module(odd, b"t") {
                assert_eq!(validate(&module), Ok(()));
            }
            // Whatever it makes of it, it may not panic either.
            let _: Option<&[u8]> = table_of_module(odd);
        };
        for len in 0..template.len() {
            check(&template[..len]);
        }
        for at in 0..template.len() {
            for bit in 0..8 {
                let mut odd = template.clone();
                odd[at] ^= 1 << bit;
                check(&odd);
            }
        }
    }
}
