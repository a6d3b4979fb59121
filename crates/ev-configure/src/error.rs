//! What can be wrong.

use std::io;
use std::path::PathBuf;

/// The files could not be made. Nothing was changed, unless the error says otherwise.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// RSA keys of this length are not made.
    #[error(
        "RSA keys of {bits} bits are not made: neither rustls nor a current OpenSSL takes a \
         certificate with one; use 2048 or 4096"
    )]
    KeyTooShort {
        /// The length asked for.
        bits: u32,
    },
    /// A length that is none of those there are.
    #[error("RSA keys have 2048 or 4096 bits, not {bits}")]
    KeyLength {
        /// The length asked for.
        bits: u32,
    },
    /// A base name of files that cannot be one.
    #[error("`{name}` cannot be the name of the {of} files: {what}")]
    FileName {
        /// Whose files.
        of: &'static str,
        /// The name.
        name: String,
        /// Why.
        what: &'static str,
    },
    /// Two things would be written to one file.
    #[error("`{name}` would be written twice: give CA, server and client different names")]
    SameName {
        /// The file.
        name: String,
    },
    /// The address of Auth cannot be dialled.
    #[error("`{addr}` is no address: it must be `host:port`, for instance `localhost:3025`")]
    Address {
        /// The address.
        addr: String,
    },
    /// The certificates would not be valid, or for longer than a certificate can say.
    #[error(
        "certificates cannot be valid for {seconds} s: at least 1 s, and not beyond the year 9999"
    )]
    Ttl {
        /// Seconds of validity asked for.
        seconds: u64,
    },
    /// A name that no certificate can be for.
    #[error("`{name}` is no DNS name: {what}")]
    DnsName {
        /// The name.
        name: String,
        /// Why.
        what: &'static str,
    },
    /// Certificates without any name are valid for nobody.
    #[error("neither a DNS name nor an IP address is given for the certificates")]
    NoNames,
    /// The addresses of a name are not known.
    #[error(
        "the addresses of `{name}` are not known: give the addresses for the certificates with \
         `--ip`, or another name"
    )]
    Resolve {
        /// The name.
        name: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// A passphrase that OpenSSL or Fluentd could not be given.
    #[error("the passphrase cannot be used: {what}")]
    Passphrase {
        /// Why.
        what: &'static str,
    },
    /// The passphrase could not be read.
    #[error("failed to read the passphrase from {from}")]
    ReadPassphrase {
        /// Where it was to come from.
        from: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The directory cannot be used.
    #[error("failed to use the directory `{}`", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Its path cannot stand in the files that are written.
    #[error("the path `{}` is not valid UTF-8, so it cannot be written into the files", path.display())]
    PathNotText {
        /// The path.
        path: PathBuf,
    },
    /// Another run is under way there.
    #[error("another `configure` is at work in `{}`", path.display())]
    Busy {
        /// The directory.
        path: PathBuf,
    },
    /// Something other than a file is where a file is to be.
    #[error("`{}` is there and is no file", path.display())]
    NotAFile {
        /// What is there.
        path: PathBuf,
    },
    /// Files would be overwritten, and nobody can be asked.
    #[error(
        "{} there already, and there is no terminal to ask about it; nothing was changed. \
         `--force` overwrites, `--no-clobber` leaves them as they are",
        are(paths)
    )]
    Exists {
        /// The files.
        paths: Vec<PathBuf>,
    },
    /// The operator does not want files to be overwritten.
    #[error("nothing was changed: {} there already and not to be overwritten", are(paths))]
    Declined {
        /// The files.
        paths: Vec<PathBuf>,
    },
    /// Only a part of the files is there, and that part is to be left alone.
    #[error(
        "nothing was changed: some of the files are there and to be left as they are, but {} \
         missing, and the missing ones fit only to a set that is made as a whole",
        are(missing)
    )]
    Incomplete {
        /// Files that are not there.
        missing: Vec<PathBuf>,
    },
    /// The operating system gave no randomness.
    #[error("the operating system gives no random numbers")]
    Randomness,
    /// A key that was made is not as it should be.
    #[error("failed to make a key: {what}")]
    Key {
        /// What went wrong.
        what: String,
    },
    /// A certificate could not be made.
    #[error("failed to make the certificate of the {of}")]
    Certificate {
        /// Whose.
        of: &'static str,
        /// Why.
        #[source]
        source: rcgen::Error,
    },
    /// A key could not be encrypted or decrypted again.
    #[error("failed to encrypt the server's key: {what}")]
    Encrypt {
        /// What went wrong.
        what: String,
    },
    /// What was written does not work.
    #[error(
        "the certificates and keys that were made do not work together ({what}); nothing was \
         changed"
    )]
    SelfCheck {
        /// What was tried.
        what: String,
        /// What went wrong.
        #[source]
        source: rustls::Error,
    },
    /// A file could not be read back.
    #[error("failed to read back `{}`: {what}", path.display())]
    ReadBack {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A file could not be written. What was there before is there again.
    #[error("failed to write `{}`; nothing was changed", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Files could not be put back after another failure, or after a run that was killed. The next
    /// run tries again.
    #[error(
        "failed to put back `{}`: the files before are in `{}`, and the next run puts them back",
        path.display(), kept.display()
    )]
    PutBack {
        /// The file.
        path: PathBuf,
        /// Where the files from before are.
        kept: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// `a is`, or `a, b are`.
fn are(paths: &[PathBuf]) -> String {
    let list: Vec<_> = paths.iter().map(|path| format!("`{}`", path.display())).collect();
    format!("{} {}", list.join(", "), if paths.len() == 1 { "is" } else { "are" })
}
