//! For every option the value that counts, and where it came from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::Path;

use clap::ArgMatches;

use crate::file::File;
use crate::finding::Finding;
use crate::load::Environment;
use crate::options::{Kind, OptionSpec, Owner, Support, options};
use crate::origin::Origin;
use crate::value::{Places, Value, Written, parse, redacted, split_list};

/// One option as it stands.
#[derive(Clone, Debug)]
pub(crate) struct Setting {
    pub(crate) option: &'static OptionSpec,
    /// `None` when nobody gave a value and there is no default, or when it cannot be read.
    pub(crate) value: Option<Value>,
    pub(crate) origin: Origin,
    /// As written, for printing.
    pub(crate) shown: Option<String>,
}

/// All options, by name, and what was found on the way.
#[derive(Debug, Default)]
pub(crate) struct Resolved {
    pub(crate) settings: BTreeMap<&'static str, Setting>,
    pub(crate) problems: Vec<Finding>,
    pub(crate) warnings: Vec<Finding>,
}

/// Where values come from, the one that wins first.
pub(crate) struct Sources<'a> {
    pub(crate) flags: &'a ArgMatches,
    /// Which options' flags count.
    pub(crate) is_flag: &'a dyn Fn(&str) -> bool,
    pub(crate) file: Option<&'a File>,
    pub(crate) env: &'a Environment<'a>,
    pub(crate) places: &'a Places,
}

/// Resolves all options.
pub(crate) fn resolve(sources: &Sources<'_>) -> Resolved {
    let mut resolved = Resolved::default();
    for option in options() {
        let setting = sources.setting(option, &mut resolved);
        resolved.settings.insert(option.name, setting);
    }
    resolved
}

impl Sources<'_> {
    fn setting(&self, option: &'static OptionSpec, resolved: &mut Resolved) -> Setting {
        let name = option.setting();
        let mut problem = |origin: &Origin, message: String| {
            resolved.problems.push(Finding::new(&name, origin, message));
        };
        let candidates = match self.candidates(option) {
            Ok(candidates) => candidates,
            Err((origin, message)) => {
                problem(&origin, message);
                return Setting { option, value: None, origin, shown: None };
            }
        };
        self.warn(option, &name, &candidates, &mut resolved.warnings);
        let Some((mut written, origin)) = candidates.into_iter().next() else {
            // Defaults are written by us; a test reads all of them.
            let written = option.default.map(|text| Written::Text(text.to_owned()));
            let value = written.and_then(|text| parse(option.kind, &text, self.places).ok());
            let shown = option.default.map(ToOwned::to_owned);
            return Setting { option, value, origin: Origin::Default, shown };
        };
        if option.kind.is_list() {
            trim(&name, &mut written, &origin, &mut resolved.warnings);
        }
        let shown = Some(show(option.kind, &written));
        let value = match parse(option.kind, &written, self.places) {
            Ok(value) => Some(value),
            Err(message) => {
                resolved.problems.push(unreadable(option, &written, self.places, message, &origin));
                None
            }
        };
        if let (Some(Value::Path(path)), Written::Text(text)) = (&value, &written) {
            self.warn_of_relative(option, text, path, &origin, &mut resolved.warnings);
        }
        support(option, &name, &origin, resolved);
        Setting { option, value, origin, shown }
    }

    /// Everything that was written for an option, the winner first.
    fn candidates(
        &self,
        option: &'static OptionSpec,
    ) -> Result<Vec<(Written, Origin)>, (Origin, String)> {
        let mut found = Vec::new();
        if let Some(written) = self.flag(option)? {
            found.push((written, Origin::Flag(option.name)));
        }
        if let Some(file) = self.file {
            found.extend(file.find(&option.toml_paths()));
        }
        for name in option.env {
            let origin = Origin::Env(name);
            if let Some(value) = (self.env)(name) {
                found.push((Written::Text(utf8(value).map_err(|m| (origin.clone(), m))?), origin));
            }
        }
        // An empty text says something only in a list: that it is empty. Charts and unit files
        // write empty texts for what is not set.
        let first = found.first().map(|(_, origin)| origin.clone());
        found.retain(|(written, _)| option.kind.is_list() || !written.is_empty());
        // Going on without a secret that somebody meant to give would be less than they think.
        if let (Kind::Secret, true, Some(origin)) = (&option.kind, found.is_empty(), first) {
            let message = "is empty: give the secret, or take the setting out".to_owned();
            return Err((origin, message));
        }
        Ok(found)
    }

    fn flag(&self, option: &'static OptionSpec) -> Result<Option<Written>, (Origin, String)> {
        if !(self.is_flag)(option.name) {
            return Ok(None);
        }
        let Ok(Some(values)) = self.flags.try_get_many::<OsString>(option.name) else {
            return Ok(None);
        };
        let mut texts = Vec::new();
        for value in values {
            texts.push(utf8(value.clone()).map_err(|m| (Origin::Flag(option.name), m))?);
        }
        Ok(match option.kind {
            kind if kind.is_list() => {
                Some(Written::Texts(texts.iter().flat_map(|text| split_list(text)).collect()))
            }
            _ => texts.pop().map(Written::Text),
        })
    }

    /// Relative paths in a file that lies elsewhere look as if they started from there.
    fn warn_of_relative(
        &self,
        option: &OptionSpec,
        text: &str,
        path: &Path,
        origin: &Origin,
        warnings: &mut Vec<Finding>,
    ) {
        // Of a path that need not exist it is told in any case, when it is used.
        let Origin::File { path: file, .. } = origin else { return };
        let is_elsewhere = file.parent().is_some_and(|folder| folder != self.places.cwd);
        if is_elsewhere
            && !matches!(option.kind, Kind::Path | Kind::PathOrDash)
            && !text.starts_with(['/', '~'])
        {
            let message = format!(
                "is relative to the working directory, not to the file: `{}` is used",
                path.display()
            );
            warnings.push(Finding::new(option.setting(), origin, message).choice());
        }
    }

    /// What is odd about where the values stand, apart from the values themselves.
    fn warn(
        &self,
        option: &'static OptionSpec,
        name: &str,
        candidates: &[(Written, Origin)],
        warnings: &mut Vec<Finding>,
    ) {
        for (_, origin) in candidates {
            if let Origin::Env(variable) = origin
                && variable.starts_with("FDWRD_")
            {
                let message =
                    format!("`{variable}` is a historic misspelling; use `{}`", option.env[0]);
                warnings.push(Finding::new(name, origin, message));
            }
        }
        let Some(((first, winner), rest)) = candidates.split_first() else { return };
        for (written, loser) in rest {
            // A flag is there to override; the others surprise: people expect the environment
            // to win over the file.
            if !matches!(winner, Origin::Flag(_)) && written != first {
                let message = format!("another value is given by {loser}; this one is used");
                warnings.push(Finding::new(name, winner, message));
            }
        }
    }
}

/// A value that cannot be read. An identity file that is not there is what a start before the
/// first run of `tbot` looks like.
fn unreadable(
    option: &OptionSpec,
    written: &Written,
    places: &Places,
    message: String,
    origin: &Origin,
) -> Finding {
    let name = option.setting();
    match written {
        Written::Text(text)
            if option.name == "teleport-identity" && !places.absolute(text).exists() =>
        {
            let hint = "`tbot` or `tctl auth sign` writes it, to the path that is set here";
            Finding::new(name, origin, format!("{message}; {hint}")).awaited()
        }
        _ => Finding::new(name, origin, message),
    }
}

/// Takes blanks off the items of a list: no event type has any, so an item with one would filter
/// nothing.
fn trim(name: &str, written: &mut Written, origin: &Origin, warnings: &mut Vec<Finding>) {
    let mut items = match &*written {
        Written::Text(text) => split_list(text),
        Written::Texts(items) => items.clone(),
        _ => return,
    };
    let before = items.clone();
    items.iter_mut().for_each(|item| *item = item.trim().to_owned());
    if items != before {
        let message = "blanks around items are taken off".to_owned();
        warnings.push(Finding::new(name, origin, message));
    }
    items.retain(|item| !item.is_empty());
    *written = Written::Texts(items);
}

/// Tells about an option that nobody acts on any more.
fn support(option: &OptionSpec, name: &str, origin: &Origin, resolved: &mut Resolved) {
    if option.support != Support::Obsolete {
        return;
    }
    let message = format!("is obsolete and without effect; {}", option.help);
    let finding = Finding::new(name, origin, message);
    match origin {
        Origin::Flag(_) => resolved.problems.push(finding),
        // Generated files in the field have it.
        _ => resolved.warnings.push(finding.choice()),
    }
}

fn utf8(value: OsString) -> Result<String, String> {
    value.into_string().map_err(|_| "is not UTF-8".to_owned())
}

fn show(kind: Kind, written: &Written) -> String {
    match written {
        _ if kind == Kind::Secret => "***".to_owned(),
        Written::Text(text) if matches!(kind, Kind::Url | Kind::DirectoryOrUrl) => redacted(text),
        Written::Text(text) if kind == Kind::Headers => without_values(&split_list(text)),
        Written::Texts(items) if kind == Kind::Headers => without_values(items),
        Written::Text(text) | Written::Datetime(text) => text.clone(),
        Written::Texts(items) => items.join(","),
        Written::Number(number) => number.to_string(),
        Written::Bool(value) => value.to_string(),
        Written::Other(what) => (*what).to_owned(),
    }
}

/// Headers of which only the names may be printed.
fn without_values(items: &[String]) -> String {
    let names = items.iter().map(|item| match item.split_once(':') {
        Some((name, _)) => format!("{name}: ***"),
        // Not a header, and no name either.
        None => "***".to_owned(),
    });
    names.collect::<Vec<_>>().join(",")
}

/// The first option of ours about what is sent that somebody gave, which says that the
/// configuration was written for this program.
pub(crate) fn first_own<'a>(settings: &'a BTreeMap<&'static str, Setting>) -> Option<&'a Setting> {
    options()
        .iter()
        .filter(|option| option.owner == Owner::Ours)
        .map(|option| &settings[option.name])
        .find(|setting| setting.origin.is_given())
}
