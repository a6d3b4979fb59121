use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

const LOGIN: &[u8] = b"\x0a\x0c\x0a\x0a\x12\x05login\x1a\x01u";

fn args(report: bool) -> Args {
    Args {
        file: None,
        schema: Some("v13".into()),
        flavour: Flavour::Go,
        known_part: false,
        module: None,
        table: None,
        trust: None,
        allow_wasi_modules: false,
        report,
    }
}

fn decode(lines: &[u8], report: bool) -> (u64, String, String) {
    let decoder = choose::decoder(&args(report)).expect("an embedded schema");
    let work = Work { decoder: &*decoder, mode: Mode::Strict, report };
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let failed = work.all(lines, &mut out, &mut errors).expect("reading from memory");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (failed, text(out), text(errors))
}

#[test]
fn json_goes_to_stdout_and_failures_to_stderr() {
    let lines = format!("{}\n!\n\nGBE=\n", STANDARD.encode(LOGIN));
    let (failed, out, errors) = decode(lines.as_bytes(), false);
    assert_eq!(failed, 3);
    assert_eq!(
        out,
        "{\"ei\":0,\"event\":\"login\",\"uid\":\"u\",\"time\":\"0001-01-01T00:00:00Z\",\"success\":false}\n"
    );
    let lines: Vec<&str> = errors.lines().collect();
    assert!(lines[0].starts_with("line 2: malformed: not base64"), "{errors}");
    assert!(lines[1].starts_with("line 3: malformed at byte 0"), "{errors}");
    assert!(lines[2].starts_with("line 4: malformed at byte"), "{errors}");
}

#[test]
fn a_report_has_a_line_for_every_line() {
    let unknown = b"\xca\xb8\x02\x00";
    let lines = format!("{}\n{}\n\n", STANDARD.encode(LOGIN), STANDARD.encode(unknown));
    let (failed, out, errors) = decode(lines.as_bytes(), true);
    assert_eq!((failed, errors.as_str()), (2, ""));
    let reports: Vec<serde_json::Value> =
        out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(reports[0]["result"], "decoded");
    assert_eq!(reports[0]["by"], "native");
    assert_eq!(reports[0]["id"], "u");
    assert_eq!(reports[0]["type"], "login");
    assert_eq!(reports[0]["time"], "0001-01-01T00:00:00Z");
    assert!(reports[0]["json"].as_str().is_some_and(|json| json.starts_with("{\"ei\":0")));
    assert_eq!(reports[1]["result"], "unknown");
    assert_eq!((&reports[1]["at"], &reports[1]["path"]), (&0.into(), &"5001".into()));
    assert_eq!(reports[1].get("json"), None);
    assert_eq!((&reports[2]["line"], &reports[2]["result"]), (&3.into(), &"malformed".into()));
}

#[test]
fn a_line_without_end_is_told_and_nothing_behind_it_is_read() {
    let login = format!("{}\n", STANDARD.encode(LOGIN));
    // Longer than the limit, and bounded all the same, so that this ends if there is no limit.
    let endless = std::io::repeat(b'A').take(MAX_LINE_BYTES as u64 + 2);
    let input = login.as_bytes().chain(endless).chain(&b"\n!\n"[..]);
    let decoder = choose::decoder(&args(false)).expect("an embedded schema");
    let work = Work { decoder: &*decoder, mode: Mode::Strict, report: false };
    let (mut out, mut errors) = (Vec::new(), Vec::new());
    let error = work.all(BufReader::new(input), &mut out, &mut errors).expect_err("too long");
    assert_eq!(format!("{error:#}"), "failed to read line 2: it is longer than 67108864 bytes");
    assert!(out.starts_with(b"{\"ei\":0,\"event\":\"login\"") && out.ends_with(b"}\n"));
    assert_eq!(errors, b"");
}

#[test]
fn an_artifact_is_read_from_plain_files_only() {
    let dir = tempfile::tempdir().expect("a directory");
    let key = ev_modules::SigningKey::generate().expect("a key");
    let trust = dir.path().join("trust.json");
    std::fs::write(&trust, key.trust_json("")).expect("a trust file");
    let pipe = dir.path().join("pipe");
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    let table = dir.path().join("table.evt");
    std::fs::write(&table, b"ev-table").expect("a table");
    let envelope = dir.path().join("table.evt.dsse.json");
    let check = |table: PathBuf, named: &std::path::Path| {
        let args = Args { table: Some(table), trust: Some(trust.clone()), ..args(false) };
        let error = choose::decoder(&args).err().expect("it is refused");
        let expected = format!("`{}` is not a plain file", named.display());
        assert_eq!(format!("{error:#}"), expected);
    };
    // The device first: it comes to its end, so that this fails, and does not hang, if it is read.
    check("/dev/null".into(), std::path::Path::new("/dev/null"));
    check(pipe.clone(), &pipe);
    std::fs::rename(&pipe, &envelope).expect("a pipe as envelope");
    check(table, &envelope);
}
