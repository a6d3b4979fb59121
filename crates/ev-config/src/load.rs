//! The way from arguments, environment and file to settings.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;

use crate::build::build;
use crate::command::{GLOBAL, STRAY};
use crate::error::ConfigError;
use crate::file::{File, UnknownKey};
use crate::finding::Finding;
use crate::nearest::nearest_within;
use crate::options::{Kind, OptionSpec, options};
use crate::origin::Origin;
use crate::resolve::{Resolved, Setting, Sources, first_own, resolve};
use crate::settings::Settings;
use crate::value::{Places, Value, parse};

/// Looks up an environment variable.
pub type Environment<'a> = dyn Fn(&str) -> Option<OsString> + 'a;

/// Settings, where they came from, and what is odd about them.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// To be logged before anything is started. Without event contents or secrets.
    pub warnings: Vec<Finding>,
    /// The configuration file, if there is one.
    pub file: Option<PathBuf>,
    standing: BTreeMap<&'static str, Setting>,
}

/// One option as it stands, for printing.
#[derive(Clone, Copy, Debug)]
pub struct Effective<'a> {
    /// The option.
    pub option: &'static OptionSpec,
    /// Its value as it was written, or the default; user and password of addresses are blanked.
    /// `None` when nobody gave one.
    pub value: Option<&'a str>,
    /// Where it came from.
    pub origin: &'a Origin,
}

impl<'a> Effective<'a> {
    fn of(setting: &'a Setting) -> Self {
        let Setting { option, shown, origin, .. } = setting;
        Self { option, value: shown.as_deref(), origin }
    }
}

impl Loaded {
    /// Where the value of an option came from, by the name of its flag without dashes.
    ///
    /// # Panics
    ///
    /// If there is no such option.
    pub fn origin(&self, name: &str) -> &Origin {
        &self.standing[name].origin
    }

    /// All options as they stand, in the order of [`options`].
    pub fn effective(&self) -> impl Iterator<Item = Effective<'_>> {
        options().iter().map(|option| Effective::of(&self.standing[option.name]))
    }

    /// The first option of ours about what is sent that somebody gave: what makes the default of
    /// some others.
    pub fn first_own(&self) -> Option<Effective<'_>> {
        first_own(&self.standing).map(Effective::of)
    }

    pub(crate) fn standing(&self, name: &str) -> &Setting {
        &self.standing[name]
    }
}

/// Reads everything that was written and builds the settings of `start` from it.
///
/// `matches` are those of [`crate::start_command`] or of another command
/// [with settings](crate::with_settings); `cwd` is what relative paths start from.
///
/// # Errors
///
/// [`ConfigError::Read`] and [`ConfigError::Syntax`] for the file, [`ConfigError::Invalid`] with
/// all problems for what is in it or elsewhere.
pub fn load(
    matches: &ArgMatches,
    env: &Environment<'_>,
    cwd: &Path,
) -> Result<Loaded, ConfigError> {
    load_with(matches, &|_| true, env, cwd)
}

/// As [`load`], for a command with arguments of its own: of its flags those of
/// [`crate::global_args`] count, and no other, whatever it is called.
///
/// # Errors
///
/// As [`load`].
pub fn load_beside(
    matches: &ArgMatches,
    env: &Environment<'_>,
    cwd: &Path,
) -> Result<Loaded, ConfigError> {
    load_with(matches, &|name| GLOBAL.contains(&name), env, cwd)
}

/// Whether `debug` is set, by flag or environment, for a command as in [`load_beside`] that goes on
/// where there are no settings.
pub fn is_debug(matches: &ArgMatches, env: &Environment<'_>) -> bool {
    let places = Places { cwd: PathBuf::new(), home: None };
    let is_flag = |name: &str| GLOBAL.contains(&name);
    let sources = Sources { flags: matches, is_flag: &is_flag, file: None, env, places: &places };
    resolve(&sources).settings["debug"].value == Some(Value::Bool(true))
}

/// Where a handler keeps its state and can be asked, whatever else is wrong with its settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Whereabouts {
    /// The storage directory, if it is set.
    pub storage: Option<PathBuf>,
    /// The address for diagnostics, if it is set.
    pub diag_addr: Option<SocketAddr>,
}

/// Of a configuration that [`load_beside`] cannot take, what can be read all the same; nothing if
/// the file itself cannot be read.
pub fn whereabouts(matches: &ArgMatches, env: &Environment<'_>, cwd: &Path) -> Whereabouts {
    let home = env("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let places = Places { cwd: cwd.to_owned(), home };
    let is_flag = |name: &str| GLOBAL.contains(&name);
    let mut sources =
        Sources { flags: matches, is_flag: &is_flag, file: None, env, places: &places };
    let file = config_path(&resolve(&sources)).and_then(|path| path.map(File::read).transpose());
    let Ok(file) = file else { return Whereabouts::default() };
    sources.file = file.as_ref();
    crate::build::whereabouts(&mut resolve(&sources))
}

fn load_with(
    matches: &ArgMatches,
    is_flag: &dyn Fn(&str) -> bool,
    env: &Environment<'_>,
    cwd: &Path,
) -> Result<Loaded, ConfigError> {
    let home = env("HOME").filter(|home| !home.is_empty()).map(PathBuf::from);
    let places = Places { cwd: cwd.to_owned(), home };
    let mut sources = Sources { flags: matches, is_flag, file: None, env, places: &places };

    // The file's own place can stand in a flag or a variable only, so it is known without it.
    let path = config_path(&resolve(&sources))?;
    let file = path.clone().map(File::read).transpose()?;
    sources.file = file.as_ref();
    let mut resolved = resolve(&sources);

    refuse_strays(matches, &mut resolved);
    if let Some(file) = &file {
        report_unknown(file, &mut resolved, &places);
    }
    let settings = build(&mut resolved);
    if is_strict(&resolved) {
        let (mistakes, choices) =
            std::mem::take(&mut resolved.warnings).into_iter().partition(Finding::is_mistake);
        resolved.warnings = choices;
        resolved.problems.extend::<Vec<_>>(mistakes);
    }
    let Some(settings) = settings.filter(|_| resolved.problems.is_empty()) else {
        return Err(ConfigError::Invalid { problems: resolved.problems });
    };
    let Resolved { settings: standing, warnings, .. } = resolved;
    Ok(Loaded { settings, warnings, file: path, standing })
}

fn config_path(resolved: &Resolved) -> Result<Option<PathBuf>, ConfigError> {
    let setting = &resolved.settings["config"];
    match &setting.value {
        Some(Value::Path(path)) => Ok(Some(path.clone())),
        // It was given but is not there; without the file every other problem is guesswork.
        _ if setting.origin.is_given() => {
            let name = setting.option.setting();
            let is_its = |problem: &&Finding| problem.setting == name;
            let problems = resolved.problems.iter().filter(is_its).cloned().collect();
            Err(ConfigError::Invalid { problems })
        }
        _ => Ok(None),
    }
}

fn report_unknown(file: &File, resolved: &mut Resolved, places: &Places) {
    let ignored = if is_strict(resolved) { "" } else { ", ignored" };
    let is_lock_set = resolved.settings["lock-enabled"].origin.is_given();
    for key in file.unknown() {
        if !is_lock_set && turns_locking_on(&key, places) {
            resolved.problems.push(Finding::new(
                key.path,
                &key.origin,
                "unknown setting; did you mean `lock.enabled`? Nobody would be locked out: correct \
                 its name, or set `lock.enabled` too, to `false` if locking is to be off",
            ));
            continue;
        }
        let hint = match key.nearest {
            Some(nearest) => format!("; did you mean `{nearest}`?"),
            None => String::new(),
        };
        let message = format!("unknown setting{ignored}{hint}");
        resolved.warnings.push(Finding::new(key.path, &key.origin, message));
    }
}

/// Whether an unknown key was meant to turn locking on: it would stay off, and nobody notices that
/// a precaution is not taken before it is needed. All other keys that are misspelt are warnings, as
/// the reference handler takes any.
fn turns_locking_on(key: &UnknownKey, places: &Places) -> bool {
    let Some((table, name)) = key.path.split_once(['.', '-', '_']) else { return false };
    // As far as that goes without taking somebody else's table for ours.
    let is_table = ["lock", "locks", "locking"].contains(&table.to_lowercase().as_str());
    let is_name = nearest_within(2, name, ["enabled", "lock.enabled"]).is_some();
    let is_off = parse(Kind::Switch, &key.written, places) == Ok(Value::Bool(false));
    is_table && is_name && !is_off
}

fn is_strict(resolved: &Resolved) -> bool {
    resolved.settings["strict"].value == Some(Value::Bool(true))
}

/// Words on the command line that belong to no flag.
fn refuse_strays(matches: &ArgMatches, resolved: &mut Resolved) {
    let Ok(Some(words)) = matches.try_get_many::<OsString>(STRAY) else { return };
    let places = matches.indices_of(STRAY).into_iter().flatten();
    for (word, place) in words.zip(places) {
        let word = word.to_string_lossy();
        let is_switch = matches!(&*word, "true" | "false");
        let message = match switch_before(matches, place).filter(|_| is_switch) {
            Some(name) => format!(
                "belongs to no flag; a switch takes its value behind `=`: `--{name}={word}`"
            ),
            None => "belongs to no flag".to_owned(),
        };
        resolved.problems.push(Finding::new(word, &Origin::Default, message));
    }
}

/// The switch right in front of a word, which was probably meant to be its value.
fn switch_before(matches: &ArgMatches, place: usize) -> Option<&'static str> {
    let given =
        |option: &&OptionSpec| matches.value_source(option.name) == Some(ValueSource::CommandLine);
    let before = options().iter().filter(given).filter_map(|option| {
        let places = matches.indices_of(option.name)?;
        places.filter(|at| *at < place).max().map(|at| (at, option))
    });
    let (_, option) = before.max_by_key(|(at, _)| *at)?;
    (option.kind == Kind::Switch).then_some(option.name)
}
