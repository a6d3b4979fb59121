//! Modules of other toolchains, from a signed file to the refusal or the use that is set.

use ev_core::{ArtifactKind, AuthVersion, Timestamp};
use ev_modules::{Manifest, sha256};

use crate::stage::Stage;

/// Imports WASI, and does nothing but be refused by the self-test.
const MODULE: &str = r#"(module
    (import "wasi_snapshot_preview1" "sched_yield" (func (result i32)))
    (memory (export "memory") 1)
    (func (export "ev_abi_version") (result i32) i32.const 1)
    (func (export "ev_alloc") (param i32) (result i32) i32.const 0)
    (func (export "ev_decode_batch") (param i32 i32 i32) (result i64) i64.const 0)
    (func (export "ev_describe") (result i64) i64.const 0)
    (func (export "ev_error") (result i64) i64.const 0))"#;

fn write(stage: &Stage) {
    let module = wat::parse_str(MODULE).unwrap();
    let envelope = stage.key.sign(&Manifest {
        kind: ArtifactKind::Module,
        abi: 1,
        auth_version: AuthVersion::new("18.1.0"),
        schema_sha256: [7; 32],
        sha256: sha256(&module),
        size: module.len() as u64,
        created: Timestamp::new(1_763_380_929, 0),
        key_id: stage.key.key_id(),
    });
    std::fs::write(stage.path("decoder.wasm"), module).unwrap();
    std::fs::write(stage.path("decoder.wasm.dsse.json"), envelope).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_module_that_needs_wasi_is_refused_naming_the_setting() {
    let stage = Stage::new("18.0.0-dev");
    write(&stage);
    let run = |more: &[&str]| {
        let args = [&["--module", "decoder.wasm", "--trust", "trust.json"], more].concat();
        let (status, _, errors) = crate::decode_command::decode("", stage.dir.path(), &args);
        assert_ne!(status, Some(0), "{errors}");
        errors
    };
    let errors = run(&[]);
    assert!(errors.contains("imports `wasi_snapshot_preview1.sched_yield`"), "{errors}");
    assert!(errors.contains("`allow-wasi-modules = true` under `[decoder]`"), "{errors}");
    // With it, it is compiled and fails only because it gives no buffer.
    let errors = run(&["--allow-wasi-modules"]);
    assert!(errors.contains("self-test failed"), "{errors}");
    assert!(errors.contains("refused a buffer"), "{errors}");
}
