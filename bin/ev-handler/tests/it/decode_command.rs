use std::io::Write as _;
use std::process::{Command, Stdio};

use crate::stage::{Stage, templates};

pub(crate) fn decode(
    input: &str,
    dir: &std::path::Path,
    args: &[&str],
) -> (Option<i32>, String, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ev-handler"))
        .arg("decode")
        .args(args)
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Written beside the reading, or both sides would wait with full pipes.
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A child that refuses its arguments has closed the pipe; its status tells.
            stdin.write_all(input.as_bytes()).unwrap_or_default();
        });
        child.wait_with_output().unwrap()
    });
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// The same events natively, with a signed table and in a signed module: the same bytes.
#[tokio::test(flavor = "multi_thread")]
async fn all_three_kinds_of_decoder_write_the_same() {
    use base64::Engine as _;
    let stage = Stage::new("18.0.0-dev");
    for (artifact, name) in
        [(stage.module("v18dev"), "decoder.wasm"), (stage.table("v18dev"), "decoder.evt")]
    {
        std::fs::write(stage.path(name), &artifact.payload).unwrap();
        std::fs::write(stage.path(&format!("{name}.dsse.json")), &artifact.envelope).unwrap();
    }
    let vectors = templates("v18dev");
    let encode = |v: &ev_test_support::data::Vector| {
        base64::engine::general_purpose::STANDARD.encode(&v.oneof)
    };
    let input: String = vectors.iter().map(|v| format!("{}\n", encode(v))).collect();
    let expected: String =
        vectors.iter().map(|v| format!("{}\n", String::from_utf8_lossy(&v.json))).collect();
    for (by, args) in [
        ("native", vec!["--schema", "v18dev"]),
        ("native", vec!["--schema", "18.0.0-dev", "-"]),
        ("module", vec!["--module", "decoder.wasm", "--trust", "trust.json"]),
        ("table", vec!["--table", "decoder.evt", "--trust", "trust.json"]),
    ] {
        let (status, out, errors) = decode(&input, stage.dir.path(), &args);
        assert_eq!((status, errors.as_str()), (Some(0), ""), "{args:?}");
        assert!(out == expected, "{args:?}");
        let args = [&args[..], &["--report"]].concat();
        let (_, out, _) = decode(&input, stage.dir.path(), &args);
        for (line, vector) in out.lines().zip(&vectors) {
            let report: serde_json::Value = serde_json::from_str(line).unwrap();
            assert_eq!(report["by"], by);
            assert_eq!(report["id"], vector.uid);
            assert_eq!(report["json"].as_str().unwrap().as_bytes(), &vector.json[..]);
        }
    }
}

/// Where an event is not known: by names natively, by numbers with an artifact.
#[tokio::test(flavor = "multi_thread")]
async fn the_place_of_the_first_unknown_field_is_told() {
    use base64::Engine as _;
    let stage = Stage::new("13.3.8");
    for (artifact, name) in
        [(stage.module("v13"), "decoder.wasm"), (stage.table("v13"), "decoder.evt")]
    {
        std::fs::write(stage.path(name), &artifact.payload).unwrap();
        std::fs::write(stage.path(&format!("{name}.dsse.json")), &artifact.envelope).unwrap();
    }
    // UserLogin { Metadata { 4321: 1 } }
    let event = [0x0a, 0x06, 0x0a, 0x04, 0x88, 0x8e, 0x02, 0x01];
    let line = base64::engine::general_purpose::STANDARD.encode(event);
    for (args, path) in [
        (vec!["--schema", "v13"], "UserLogin.Metadata.4321"),
        (vec!["--module", "decoder.wasm", "--trust", "trust.json"], "1.1.4321"),
        (vec!["--table", "decoder.evt", "--trust", "trust.json"], "1.1.4321"),
    ] {
        let args = [&args[..], &["--report"]].concat();
        let (status, out, _) = decode(&line, stage.dir.path(), &args);
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(status, Some(1));
        assert_eq!((&report["path"], &report["at"]), (&path.into(), &4.into()), "{args:?}");
        let (status, out, _) =
            decode(&line, stage.dir.path(), &[&args[..], &["--known-part"]].concat());
        let report: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(status, Some(0));
        assert_eq!(report["result"], "unknown");
        assert!(report["json"].as_str().unwrap().starts_with("{\"ei\":0"), "{report}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_artifact_that_is_not_trusted_is_refused() {
    let stage = Stage::new("18.0.0-dev");
    let module = stage.module("v18dev");
    std::fs::write(stage.path("decoder.wasm"), &module.payload).unwrap();
    std::fs::write(stage.path("decoder.wasm.dsse.json"), &module.envelope).unwrap();
    let args = ["--module", "decoder.wasm", "--trust", "trust.json"];
    let wrong_version = [&args[..], &["--schema", "v15dev"]].concat();
    let (status, _, errors) = decode("", stage.dir.path(), &wrong_version);
    assert_eq!(status, Some(1));
    assert!(errors.contains("18.0.0-dev") && errors.contains("15.0.0-dev"), "{errors}");

    let other = ev_modules::SigningKey::generate().unwrap();
    std::fs::write(stage.path("trust.json"), other.trust_json("")).unwrap();
    let (status, _, errors) = decode("", stage.dir.path(), &args);
    assert_eq!(status, Some(1));
    assert!(errors.contains("not trusted") || errors.contains("untrusted"), "{errors}");
}
