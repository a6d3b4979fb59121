//! Keys that are no option.

use crate::rig::Rig;

const TOML: &str = "\
storrage = '/s'
namespace = 'default'
[teleport]
adr = 'a:1'
refresh-enabled = true
[fluentd]
url = 'https://f'
[forward.fluentd]
session_url = 'https://f'
[something]
else = 1
[decoder]
artefact-wait = '1m'
";

#[test]
fn they_are_named_with_line_and_nearest_key() {
    insta::assert_snapshot!(Rig::new().toml(TOML).warnings(), @"");
}

#[test]
fn strict_makes_them_errors() {
    insta::assert_snapshot!(Rig::new().toml(TOML).flag("--strict").refusal(), @"");
    insta::assert_snapshot!(Rig::new().toml("bacth = 1").env("EV_STRICT", "1").refusal(), @"");
    // Obsolete is not unknown: generated files in the field have it.
    Rig::new().toml("namespace = 'default'").flag("--strict").load();
    Rig::new().toml("batch = 1").flag("--strict").load();
}
