use super::*;

const LOGIN: &[u8] = b"\x0a\x0c\x0a\x0a\x12\x05login\x1a\x01u";

fn decode(lines: &[u8], report: bool) -> (u64, String, String) {
    let args = Args {
        file: None,
        schema: Some("v13".into()),
        flavour: Flavour::Go,
        known_part: false,
        module: None,
        table: None,
        trust: None,
        allow_wasi_modules: false,
        report,
    };
    let decoder = choose::decoder(&args).expect("an embedded schema");
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
