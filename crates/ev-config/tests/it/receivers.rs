//! Settings for receivers other than Fluentd.

use ev_config::{BatchMode, Body, Header, Token};
use insta::assert_snapshot;

use crate::rig::Rig;

fn fluentd(lines: &str) -> Rig {
    Rig::new().toml(&format!("[forward.fluentd]\n{lines}"))
}

fn refusal(lines: &str) -> String {
    fluentd(lines).refusal()
}

fn header(name: &str, value: &str) -> Header {
    Header { name: name.to_owned(), value: value.to_owned() }
}

#[test]
fn each_form_has_its_word() {
    let check = |word: &str, body: Body| {
        let settings = fluentd(&format!("body = '{word}'")).load().settings;
        let batching = settings.fluentd.expect("a receiver").batching;
        assert_eq!(batching.body, body);
        // It is a setting of ours, so many events go in a request.
        assert_eq!(batching.mode, BatchMode::Array);
    };
    check("json", Body::Json);
    check("ndjson", Body::Ndjson);
    check("splunk-hec", Body::SplunkHec);
    check("loki", Body::Loki);
    assert_snapshot!(refusal("body = 'xml'"), @"`forward.fluentd.body` (DIR/ev.toml:2): `xml` is not one of `json`, `ndjson`, `splunk-hec` or `loki`");
}

#[test]
fn headers_are_names_and_values() {
    let rig = fluentd("headers = ['X-Scope-OrgID: a', 'X-Key:b: c, d', 'X-Empty:']");
    let expected =
        [header("X-Scope-OrgID", "a"), header("X-Key", "b: c, d"), header("X-Empty", "")];
    assert_eq!(rig.load().settings.fluentd.expect("a receiver").headers, expected);
    let rig = Rig::new().env("EV_FLUENTD_HEADERS", r"X-A: 1,X-B: 2\,3");
    let headers = rig.load().settings.fluentd.expect("a receiver").headers;
    assert_eq!(headers, [header("X-A", "1"), header("X-B", "2,3")]);
    assert!(!format!("{headers:?}").contains('3'), "{headers:?}");
}

#[test]
fn headers_that_cannot_be_set_are_refused_without_their_values() {
    assert_snapshot!(refusal("headers = ['s3cret']"), @"`forward.fluentd.headers` (DIR/ev.toml:2): header 1 has no colon: write it as `Name: value`");
    assert_snapshot!(refusal("headers = ['X-A: 1', 'X A: s3cret']"), @"`forward.fluentd.headers` (DIR/ev.toml:2): header 2 has a name that no header can have");
    assert_snapshot!(refusal("headers = [': s3cret']"), @"`forward.fluentd.headers` (DIR/ev.toml:2): header 1 has a name that no header can have");
    assert_snapshot!(refusal("headers = [\"X-A: s3cret\\r\\nHost: evil\"]"), @"`forward.fluentd.headers` (DIR/ev.toml:2): header 1 is `X-A`, whose value holds what a header cannot hold");
    assert_snapshot!(refusal("headers = ['X-A: 1', 'x-a: s3cret']"), @"`forward.fluentd.headers` (DIR/ev.toml:2): `x-a` is there twice");
    for name in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "Connection",
        "Proxy-Connection",
        "Ev-Batch-Id",
    ] {
        let text = refusal(&format!("headers = ['{name}: s3cret']"));
        assert!(
            text.ends_with(&format!("header 1 is `{name}`, which is set by the handler alone")),
            "{text}"
        );
    }
}

#[test]
fn a_token_comes_from_a_file() {
    let rig = fluentd("token-file = 'other'");
    let token = |scheme: &str| Some(Token { file: rig.path("other"), scheme: scheme.to_owned() });
    assert_eq!(rig.load().settings.fluentd.expect("a receiver").token, token("Bearer"));
    let rig = fluentd("token-file = 'other'\ntoken-scheme = 'Splunk'\nbody = 'splunk-hec'");
    let loaded = rig.load().settings.fluentd.expect("a receiver").token.expect("a token");
    assert_eq!((loaded.file, loaded.scheme), (rig.path("other"), "Splunk".to_owned()));
    assert_snapshot!(rig.warnings(), @"");
    assert_snapshot!(refusal("token-file = 'missing'"), @"`forward.fluentd.token-file` (DIR/ev.toml:2): `DIR/missing` cannot be used: No such file or directory (os error 2)");
    assert_snapshot!(refusal("token-file = 'other'\ntoken-scheme = 'two words'"), @"`forward.fluentd.token-scheme` (DIR/ev.toml:3): `two words` is not one word, such as `Bearer`");
}

#[test]
fn only_one_thing_says_who_we_are() {
    let user = "token-file = 'other'\nurl = 'https://me:s3cret@f/a'";
    let user = Rig::new().without("FDFWD_FLUENTD_URL").toml(&format!("[forward.fluentd]\n{user}"));
    assert_snapshot!(user.refusal(), @"`forward.fluentd.token-file` (DIR/ev.toml:2): `Authorization` is given twice: the user in an address gives it too");
    let both = "token-file = 'other'\nheaders = ['authorization: Basic s3cret']";
    assert_snapshot!(refusal(both), @"`forward.fluentd.token-file` (DIR/ev.toml:2): `Authorization` is given twice: a header gives it too");
}

#[test]
fn what_is_odd_about_a_receiver_is_told() {
    assert_snapshot!(fluentd("token-scheme = 'Splunk'").warnings(), @"`forward.fluentd.token-scheme` (DIR/ev.toml:2): has no effect without `forward.fluentd.token-file`");
    let splunk = "token-file = 'other'\nbody = 'splunk-hec'";
    assert_snapshot!(fluentd(splunk).warnings(), @"`forward.fluentd.token-scheme`: Splunk's collector wants `Splunk`, not `Bearer`");
    let plain = Rig::new()
        .env("FDFWD_FLUENTD_URL", "http://f/a")
        .toml("forward.fluentd.token-file = 'other'");
    let warnings = plain.warnings();
    assert!(
        warnings.contains("is sent without encryption: whoever is on the way can read the token"),
        "{warnings}"
    );
    // Nothing is put behind an address whose body names the recording.
    let url = "https://l/push?x=y";
    let rig = || Rig::new().env("FDFWD_FLUENTD_SESSION_URL", url);
    assert!(rig().warnings().contains("is put behind the whole address"));
    assert_snapshot!(rig().env("EV_FLUENTD_BODY", "loki").warnings(), @"");
}

/// The blocks of TOML in the page about receivers.
fn blocks() -> Vec<String> {
    let page = include_str!("../../../../docs/receivers.md");
    let parts = page.split("```toml\n").skip(1);
    parts.map(|part| part.split("```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn the_configurations_of_the_page_are_read_without_a_warning() {
    let blocks = blocks();
    assert_eq!(blocks.len(), 5, "Vector, Fluent Bit, Alloy, Splunk, Loki");
    let mut bodies = Vec::new();
    for block in blocks {
        let rig = Rig::empty();
        for name in ["ca.crt", "client.crt", "client.key", "hec.token", "loki.token"] {
            std::fs::write(rig.path(name), "").expect("can be written");
        }
        let directory = rig.path("").display().to_string();
        let loaded = rig.toml(&block.replace("/etc/ev-handler/", &directory)).load();
        assert_eq!(loaded.warnings, [], "{block}");
        bodies.push(loaded.settings.fluentd.expect("a receiver").batching.body);
    }
    assert_eq!(bodies, [Body::Ndjson, Body::Json, Body::Loki, Body::SplunkHec, Body::Loki]);
}
