//! The order of work.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::SystemTime;

use crate::certificates::{self, Validity};
use crate::files::{File, Files};
use crate::names::Names;
use crate::place::Place;
use crate::report::Report;
use crate::{Config, Error, Overwrite, Passphrase, check, templates};

/// What has to be asked outside of the program.
pub trait Host {
    /// Addresses of a name.
    ///
    /// # Errors
    ///
    /// Whatever the resolver says.
    fn resolve(&mut self, name: &str) -> io::Result<Vec<IpAddr>>;

    /// Asks the operator whether these files may be overwritten. Asked at most once.
    fn may_overwrite(&mut self, files: &[PathBuf]) -> Answer;

    /// Shows the operator a passphrase that was made here, and nobody else. Called at most once,
    /// when all files are in place.
    fn show_passphrase(&mut self, passphrase: &Passphrase);
}

/// What the operator says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Overwrite all of them.
    Yes,
    /// Leave all of them, and write nothing.
    No,
    /// There is no terminal.
    CannotAsk,
}

/// Writes all files, or none. Blocks, for seconds with RSA keys.
///
/// Without a passphrase one is made; either way it stands in `fluent.conf`. `now` is when the
/// certificates begin to be valid, but for a few minutes.
///
/// # Errors
///
/// See [`Error`]. Unless [`Error::PutBack`], the directory is as it was before.
pub fn configure(
    config: &Config,
    passphrase: Option<Passphrase>,
    host: &mut dyn Host,
    now: SystemTime,
) -> Result<Report, Error> {
    config.check()?;
    let validity = Validity::new(now, config.ttl)?;
    let place = Place::open(&config.out)?;
    let files = Files::new(&config.files);
    let directory = place.directory();
    let text = directory.to_str();
    let text = text.ok_or_else(|| Error::PathNotText { path: directory.to_owned() })?;

    if !may_write(config, &place, &files, host)? {
        return Ok(Report::left_alone(directory, place.was_mended()));
    }
    let names = Names::new(config, host)?;
    let generated = passphrase.is_none();
    let passphrase = passphrase.map_or_else(Passphrase::generate, Ok)?;

    let set = certificates::make(config.key, validity, &names, &passphrase)?;
    let mut contents = vec![
        File::new(&files.ca_certificate, set.ca.certificate),
        File { name: files.ca_key.clone(), text: set.ca.key },
        File::new(&files.server_certificate, set.server.certificate),
        File { name: files.server_key.clone(), text: set.server.key },
        File::new(&files.client_certificate, set.client.certificate),
        File { name: files.client_key.clone(), text: set.client.key },
    ];
    contents.extend(templates::render(config, &files, &names, text, &passphrase));

    let staged = place.stage(&contents)?;
    check::check(&staged.folder(), &files, &passphrase, &names, now)?;
    staged.commit()?;
    if generated {
        host.show_passphrase(&passphrase);
    }
    Ok(Report::written(directory, &files, generated, place.was_mended()))
}

/// Whether files are to be written at all.
fn may_write(
    config: &Config,
    place: &Place,
    files: &Files,
    host: &mut dyn Host,
) -> Result<bool, Error> {
    let existing = place.existing(files.all())?;
    if existing.is_empty() || config.overwrite == Overwrite::Always {
        return Ok(true);
    }
    let paths = Files::paths(place.directory(), &existing);
    if config.overwrite == Overwrite::Never {
        let missing: Vec<_> = files.all().filter(|name| !existing.contains(name)).collect();
        if missing.is_empty() {
            return Ok(false);
        }
        return Err(Error::Incomplete { missing: Files::paths(place.directory(), &missing) });
    }
    match host.may_overwrite(&paths) {
        Answer::Yes => Ok(true),
        Answer::No => Err(Error::Declined { paths }),
        Answer::CannotAsk => Err(Error::Exists { paths }),
    }
}
