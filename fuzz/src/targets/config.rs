//! The configuration file. The first byte of an input says with which flags it is read.

use std::fs;

use ev_oracle::Choices;
use tempfile::TempDir;

use super::with_words;

thread_local! {
    /// With the files that a configuration may name.
    static FOLDER: TempDir = {
        let folder = tempfile::tempdir().expect("a temporary folder");
        for name in ["identity", "cert", "key", "ca"] {
            fs::write(folder.path().join(name), "").expect("a file can be written");
        }
        folder
    };
}

pub(super) fn run(input: &[u8]) {
    let Some((flags, text)) = input.split_first() else { return };
    FOLDER.with(|folder| {
        let file = folder.path().join("ev.toml");
        fs::write(&file, text).expect("a file can be written");
        let mut arguments = vec!["start".to_owned(), format!("--config={}", file.display())];
        if flags & 1 != 0 {
            arguments.push("--strict".to_owned());
        }
        if flags & 2 != 0 {
            arguments.push("--storage=/nowhere/storage".to_owned());
            arguments.push("--fluentd-url=https://localhost:8888/test.log".to_owned());
            arguments.push("--fluentd-session-url=https://localhost:8888/session".to_owned());
            arguments.push("--teleport-identity=identity".to_owned());
        }
        let matches = ev_config::start_command().try_get_matches_from(arguments);
        let matches = matches.expect("the flags are right");
        match ev_config::load(&matches, &|_| None, folder.path()) {
            Ok(loaded) => {
                for effective in loaded.effective() {
                    assert_eq!(*effective.origin, *loaded.origin(effective.option.name));
                }
                let unknown = |text: String| text.contains("unknown setting");
                let ignored = loaded.warnings.iter().any(|w| unknown(w.to_string()));
                assert!(flags & 1 == 0 || !ignored, "--strict lets nothing pass");
            }
            Err(error) => assert!(!error.to_string().is_empty()),
        }
    });
    if let Ok(text) = std::str::from_utf8(text)
        && let Ok(duration) = ev_config::parse_duration(text)
    {
        let shown = ev_config::format_duration(duration);
        assert_eq!(ev_config::parse_duration(&shown).ok(), Some(duration), "{text:?}, {shown:?}");
    }
}

pub(super) fn make(inputs: &[Vec<u8>], choices: &mut Choices<'_>) -> Vec<u8> {
    const WORDS: [&str; 26] = [
        "\n",
        " = ",
        "\"",
        "'''",
        "\"\"\"",
        "[",
        "]",
        "[teleport]\n",
        "[forward.fluentd]\n",
        "[[teleport]]\n",
        "storage = \"/nowhere\"\n",
        "timeout = \"10s\"\n",
        "batch = 20\n",
        "dry-run = true\n",
        "types = [\"a\", \"b\"]\n",
        "1979-05-27T07:32:00Z",
        "-9223372036854775808",
        "0x7fffffffffffffff",
        "inf",
        "1h2m3s4ms5us6ns",
        "9223372036854775807ns",
        ".5h",
        "https://user:pass@host:99999/x",
        "\\U0010ffff",
        "a.b.c = {d = 1}\n",
        "#",
    ];
    with_words(inputs, &WORDS, choices)
}
