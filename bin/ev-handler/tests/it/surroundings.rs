//! What commands besides `start` take from the configuration, the environment and the flags in
//! front of them.

use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;

use ev_core::Timestamp;
use ev_test_support::certs::{Leaf, Validity};
use ev_test_support::data::{Made, Maker};
use pkcs8::PrivateKeyInfoRef;
use pkcs8::der::pem::LineEnding;
use pkcs8::pkcs5::pbes2;

use crate::stage::{Stage, make, now, templates, write};

/// Status, stdout and stderr of a command with a file of settings and a misspelt variable.
fn run(stage: &Stage, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ev-handler"));
    command.args(["--config", "handler.toml"]).args(args).current_dir(stage.dir.path());
    command.env_clear().env("FDWRD_MAX_CONNECTIONS", "5");
    let output = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

/// How a command ends that did what it was asked. The hours of the span may still change, so that a
/// comparison proves nothing.
fn done(args: &[&str]) -> Option<i32> {
    Some(if args.first() == Some(&"verify") { 3 } else { 0 })
}

fn span() -> [String; 2] {
    let time = |second| Timestamp::new(second, 0).to_string();
    [time(now().seconds - 7200), time(now().seconds - 3600)]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_odd_about_settings_is_told_by_every_command() {
    let stage = Stage::new("13.3.8");
    stage.write_config(stage.auth.addr());
    stage
        .run_until(async |stage| {
            stage.auth.wait(|tally| tally.methods.contains_key("GetEvents")).await;
        })
        .await;
    let [from, to] = span();
    for args in [
        &["replay", "--from", &from, "--to", &to][..],
        &["verify", "--from", &from, "--to", &to],
        &["parked", "list"],
        &["state", "show"],
    ] {
        let (status, _, errors) = run(&stage, args);
        assert_eq!(status, done(args), "{args:?}: {errors}");
        assert!(errors.contains("`FDWRD_MAX_CONNECTIONS` is a historic misspelling"), "{errors}");
        assert!(!errors.contains("DEBUG"), "{errors}");
        // `--debug` is read, wherever it stands.
        for args in [&[&["--debug=perhaps"], args].concat(), &[args, &["--debug=perhaps"]].concat()]
        {
            let (status, _, errors) = run(&stage, args);
            assert!(matches!(status, Some(1 | 78)), "{args:?}: {errors}");
            assert!(errors.contains("`debug`"), "{args:?}: {errors}");
        }
    }
    let (status, _, errors) = run(&stage, &["replay", "--from", &from, "--to", &to, "-d"]);
    assert_eq!(status, Some(0), "{errors}");
    assert!(errors.contains("DEBUG"), "{errors}");
}

/// Worth another start, unlike all else that is wrong with settings.
#[tokio::test(flavor = "multi_thread")]
async fn an_identity_that_is_not_there_yet_ends_every_command_alike() {
    let stage = Stage::new("13.3.8");
    stage.write_config(stage.auth.addr());
    std::fs::remove_file(stage.path("identity")).unwrap();
    let [from, to] = span();
    for args in [
        &["start"][..],
        &["config"],
        &["replay", "--from", &from, "--to", &to],
        &["verify", "--from", &from, "--to", &to],
        &["shadow", "--listen", "127.0.0.1:0", "--plain"],
    ] {
        let (status, _, errors) = run(&stage, args);
        // What only looks at settings says that they are wrong.
        let expected = if args == ["config"] { 78 } else { 1 };
        assert_eq!(status, Some(expected), "{args:?}: {errors}");
        assert!(errors.contains("`tbot` or `tctl auth sign` writes it"), "{errors}");
    }
}

/// Whoever holds an address may let go of it; one of another machine nobody will have.
#[tokio::test(flavor = "multi_thread")]
async fn an_address_in_use_is_no_wrong_setting() {
    let stage = Stage::new("13.3.8");
    stage.write_config(stage.auth.addr());
    let taken = stage.fluentd.addr().to_string();
    let server = stage.fluentd_ca.issue_fluentd_server(Validity::Long).unwrap();
    write(stage.dir.path(), "shadow.crt", &server.cert_pem);
    write(stage.dir.path(), "shadow.key", &server.key_pem);
    let files = ["--cert", "shadow.crt", "--key", "shadow.key", "--client-ca", "fluentd-ca.crt"];
    for (addr, expected) in [(taken.as_str(), 2), ("192.0.2.1:0", 78)] {
        let args = [&["shadow", "--listen", addr][..], &files].concat();
        let (status, _, errors) = run(&stage, &args);
        assert_eq!(status, Some(expected), "{errors}");
        assert!(errors.contains(&format!("--listen {addr}")), "{errors}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_in_an_address_is_never_logged() {
    let stage = Stage::new("13.3.8");
    let path = stage.write_config(stage.auth.addr());
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("https://", "https://user:s3cret@")).unwrap();
    let [from, to] = span();
    for args in [
        &["start", "--exit-on-last-event", "--debug"][..],
        &["replay", "--from", &from, "--to", &to, "--debug"],
        &["verify", "--from", &from, "--to", &to, "--debug"],
        &["state", "show"],
    ] {
        let (status, out, errors) = run(&stage, args);
        assert_eq!(status, done(args), "{args:?}: {errors}");
        for text in [out, errors] {
            assert!(!text.contains("s3cret"), "{args:?}: {text}");
        }
    }
}

const PASSPHRASE: &str = "correct-horse";

/// A key as `openssl pkcs8 -topk8` encrypts it.
pub(crate) fn encrypted(leaf: &Leaf) -> String {
    let kdf = pbes2::Pbkdf2Params::hmac_sha256(2048, b"saltsalt").unwrap().into();
    let encryption = pbes2::EncryptionScheme::Aes256Cbc { iv: [7; 16] };
    let key = leaf.key_der();
    let key = PrivateKeyInfoRef::try_from(key.secret_der()).unwrap();
    let document =
        key.encrypt_with_params(pbes2::Parameters { kdf, encryption }, PASSPHRASE).unwrap();
    document.to_pem("ENCRYPTED PRIVATE KEY", LineEnding::LF).unwrap().to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_passphrase_of_a_key_may_come_by_the_environment() {
    let mut stage = Stage::new("13.3.8");
    let leaf = stage.fluentd_ca.issue_fluentd_client(Validity::Long).unwrap();
    write(stage.dir.path(), "client.crt", &leaf.cert_pem);
    write(stage.dir.path(), "client.key", &encrypted(&leaf));
    let made = make(&mut Maker::new(501), &templates("v13"), 20, 1, 5400);
    stage.auth.append(made.iter().map(Made::event));
    let start = |stage: &Stage, variable: &str, value: &str| {
        stage.write_config(stage.auth.addr());
        let mut command = Command::new(env!("CARGO_BIN_EXE_ev-handler"));
        command.args(["start", "--exit-on-last-event", "--debug", "--config", "handler.toml"]);
        command.current_dir(stage.dir.path()).env_clear().env(variable, value);
        let output = command.output().unwrap();
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(!text.contains(PASSPHRASE), "{text}");
        (output.status.code(), text)
    };
    let (status, text) = start(&stage, "NOTHING", "");
    assert_eq!(status, Some(78), "{text}");
    assert!(text.contains("`EV_FLUENTD_KEY_PASSPHRASE`"), "{text}");
    let (status, text) = start(&stage, "EV_FLUENTD_KEY_PASSPHRASE", "wrong");
    assert_eq!(status, Some(78), "{text}");
    let (status, text) = start(&stage, "EV_FLUENTD_KEY_PASSPHRASE", PASSPHRASE);
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(stage.fluentd.tally().events, 20);
    // Under another name, if that is set.
    stage.forward = "key-passphrase-env = \"OTHER\"".into();
    let (status, text) = start(&stage, "OTHER", PASSPHRASE);
    assert_eq!(status, Some(0), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_that_others_may_read_are_told_at_the_start() {
    let stage = Stage::new("13.3.8");
    stage.write_config(stage.auth.addr());
    let secrets = ["identity", "client.key"];
    for (mode, told) in [(0o640, true), (0o600, false)] {
        for name in secrets {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(stage.path(name), mode).unwrap();
        }
        let (status, _, errors) = run(&stage, &["start", "--exit-on-last-event"]);
        assert_eq!(status, Some(0), "{errors}");
        for name in secrets {
            let path = stage.path(name).display().to_string();
            let said = errors
                .lines()
                .any(|line| line.contains("can be used by others") && line.contains(&path));
            assert_eq!(said, told, "{name}: {errors}");
        }
    }
}

/// As the Helm chart sets it; the authority of this Fluentd is none that a system knows.
#[tokio::test(flavor = "multi_thread")]
async fn exp_74_the_system_s_authorities_may_be_replaced() {
    let stage = Stage::new("13.3.8");
    let made = make(&mut Maker::new(502), &templates("v13"), 20, 1, 5400);
    stage.auth.append(made.iter().map(Made::event));
    let path = stage.write_config(stage.auth.addr());
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replace("ca = \"fluentd-ca.crt\"\n", "")).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ev-handler"));
    command.args(["start", "--exit-on-last-event", "--config", "handler.toml"]);
    command.current_dir(stage.dir.path()).env_clear().env("SSL_CERT_FILE", "fluentd-ca.crt");
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(stage.fluentd.tally().events, 20);
}
