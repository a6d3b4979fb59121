//! The text files. Each template is a function from what it depends on to the whole text.

mod fluent_conf;
mod handler_toml;
mod helm_values;
mod role;

use std::path::Path;

use crate::files::{self, File, Files};
use crate::names::Names;
use crate::{Config, Passphrase};

/// Tag of audit events, and the path of the address that they are sent to.
const EVENTS: &str = "events.log";

/// The same in the reference handler's older files.
const OLD_EVENTS: &str = "test.log";

/// What is known to all templates.
struct Context<'a> {
    config: &'a Config,
    files: &'a Files,
    names: &'a Names,
    /// The directory of the files as text.
    directory: &'a str,
    passphrase: &'a Passphrase,
}

impl Context<'_> {
    /// Absolute path of a written file.
    fn path(&self, name: &str) -> String {
        Path::new(self.directory).join(name).display().to_string()
    }
}

/// Role, `fluent.conf`, TOML file and Helm values, in the order in which they are reported.
pub(crate) fn render(
    config: &Config,
    files: &Files,
    names: &Names,
    directory: &str,
    passphrase: &Passphrase,
) -> [File; 4] {
    let context = Context { config, files, names, directory, passphrase };
    [
        File::new(files::ROLE, role::render(config.with_lock)),
        File::new(files::FLUENT_CONF, fluent_conf::render(&context)),
        File::new(files::HANDLER_TOML, handler_toml::render(&context)),
        File::new(files::HELM_VALUES, helm_values::render(&context)),
    ]
}
