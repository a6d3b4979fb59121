//! The compiled tables of the Teleport versions whose events were recorded.

use std::sync::Arc;

use crate::Table;

/// A table compiled into the program.
#[derive(Clone, Debug)]
pub struct EmbeddedTable {
    /// Short name, for instance `v18dev`.
    pub label: &'static str,
    /// The schema.
    pub table: Arc<Table>,
    /// The table as it stands in the program, for whoever serves or signs it.
    pub bytes: &'static [u8],
}

/// Labels and bytes, the oldest version first.
const TABLES: [(&str, &[u8]); 3] = [
    ("v13", include_bytes!("../tables/v13.evt")),
    ("v15dev", include_bytes!("../tables/v15dev.evt")),
    ("v18dev", include_bytes!("../tables/v18dev.evt")),
];

/// Reads the embedded tables, the oldest version first: `v13` (13.3.8), `v15dev` (15.0.0-dev) and
/// `v18dev` (18.0.0-dev).
///
/// # Panics
///
/// Never in a program whose tests passed: the bytes are constants that the tests read.
pub fn embedded() -> Vec<EmbeddedTable> {
    TABLES
        .iter()
        .map(|&(label, bytes)| EmbeddedTable {
            label,
            table: Arc::new(Table::parse_static(bytes).expect("constant, and read by the tests")),
            bytes,
        })
        .collect()
}
