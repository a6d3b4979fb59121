//! Generates prost structs of the newest recorded schema, with serde derived: one of the baselines.

use std::error::Error;
use std::fs::File;
use std::io::Read as _;

use prost::Message as _;
use prost_types::FileDescriptorSet;

const SCHEMA: &str = "../../testdata/schema/v18dev/events.binpb.gz";

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed={SCHEMA}");
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(File::open(SCHEMA)?).read_to_end(&mut bytes)?;
    let schema = FileDescriptorSet::decode(&*bytes)?;
    prost_build::Config::new()
        // Timestamps and structs too, because serde is derived for all of them.
        .compile_well_known_types()
        .type_attribute(".", "#[derive(serde::Serialize)]")
        .include_file("typed.rs")
        .compile_fds(schema)?;
    Ok(())
}
