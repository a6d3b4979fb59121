//! libFuzzer's loop around one target, named by the variable `EV_FUZZ_TARGET`.

#![no_main]

use std::sync::LazyLock;

use ev_fuzz::{Target, targets};
use libfuzzer_sys::fuzz_target;

static TARGET: LazyLock<&Target> = LazyLock::new(|| {
    let name = std::env::var("EV_FUZZ_TARGET").unwrap_or_default();
    let target = targets().iter().find(|target| target.name == name);
    target.unwrap_or_else(|| panic!("`EV_FUZZ_TARGET` is `{name}`, which is no target"))
});

fuzz_target!(|input: &[u8]| (TARGET.run)(input));
