//! Teleport's identity file.
//!
//! One text file with everything a client needs, made by `tctl auth sign`, `tsh login --out` or
//! `tbot`. It is read line by line; blanks around a line do not count, and lines that belong to
//! nothing are passed over:
//!
//! - a line whose first word is an SSH certificate type (`…-cert-v01@openssh.com`): the SSH
//!   certificate, the last one counts;
//! - a line that begins with `@cert-authority`: an SSH CA in the form of `known_hosts`;
//! - PEM blocks, in this order: private key, TLS client certificate, and one TLS CA certificate in
//!   every further block.

use std::fmt;

/// What an identity file holds. Printing it shows no key.
#[derive(Clone, PartialEq, Eq)]
pub struct IdentityFile {
    private_key: Vec<u8>,
    tls_certificate: Vec<u8>,
    tls_authorities: Vec<u8>,
    ssh_certificate: Option<Vec<u8>>,
    ssh_authorities: Vec<Vec<u8>>,
}

/// What is wrong with an identity file. Holds nothing of its content but line numbers and labels
/// of PEM blocks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// A PEM block is cut off.
    #[error("the PEM block that begins in line {line} has no end line: is the file cut off?")]
    Unfinished {
        /// Line of its `BEGIN`, counted from 1.
        line: usize,
    },
    /// A part is not there.
    #[error("it has no {part} ({found}): make a new one, for instance with `tctl auth sign`")]
    Missing {
        /// What is missing.
        part: &'static str,
        /// What is there instead.
        found: String,
    },
    /// A PEM block is not what has to stand at its place.
    #[error("its {part} is expected in line {line}, where a block `{found}` begins")]
    Misplaced {
        /// What has to stand there.
        part: &'static str,
        /// Line of the block's `BEGIN`, counted from 1.
        line: usize,
        /// The block's label.
        found: String,
    },
}

const KEY: &str = "private key";
const CERTIFICATE: &str = "TLS client certificate";
const AUTHORITY: &str = "TLS CA certificate";

impl IdentityFile {
    /// Takes an identity file apart. Whether keys and certificates are any good is not looked at.
    ///
    /// # Errors
    ///
    /// [`IdentityError`], which names what is missing or where.
    pub fn parse(file: &[u8]) -> Result<Self, IdentityError> {
        let mut ssh_certificate = None;
        let mut ssh_authorities = Vec::new();
        let mut blocks: Vec<Block> = Vec::new();
        let mut open: Option<Block> = None;
        for (index, line) in file.split(|byte| *byte == b'\n').enumerate() {
            let line = line.trim_ascii();
            if let Some(block) = &mut open {
                block.push(line);
                if line.starts_with(b"-----END") {
                    blocks.extend(open.take());
                }
            } else if line.starts_with(b"-----BEGIN") {
                open = Some(Block::begin(index + 1, line));
            } else if line.starts_with(b"@cert-authority") {
                ssh_authorities.push(line.to_vec());
            } else if is_ssh_certificate(line) {
                ssh_certificate = Some(line.to_vec());
            }
        }
        if let Some(block) = open {
            return Err(IdentityError::Unfinished { line: block.line });
        }
        let found = found(&blocks);
        let mut blocks = blocks.into_iter();
        let mut take = |part, fits: fn(&str) -> bool| match blocks.next() {
            None => Err(IdentityError::Missing { part, found: found.clone() }),
            Some(block) if fits(&block.label) => Ok(block.text),
            Some(Block { line, label, .. }) => {
                Err(IdentityError::Misplaced { part, line, found: label })
            }
        };
        let is_certificate = |label: &str| label == "CERTIFICATE";
        let private_key = take(KEY, |label| label.ends_with("PRIVATE KEY"))?;
        let tls_certificate = take(CERTIFICATE, is_certificate)?;
        let mut tls_authorities = take(AUTHORITY, is_certificate)?;
        for Block { line, label, text } in blocks {
            if label != "CERTIFICATE" {
                return Err(IdentityError::Misplaced { part: AUTHORITY, line, found: label });
            }
            tls_authorities.extend(text);
        }
        Ok(Self { private_key, tls_certificate, tls_authorities, ssh_certificate, ssh_authorities })
    }

    /// PEM of the private key: PKCS#8, PKCS#1 or SEC1. It serves TLS and SSH.
    pub fn private_key(&self) -> &[u8] {
        &self.private_key
    }

    /// PEM of the TLS client certificate.
    pub fn tls_certificate(&self) -> &[u8] {
        &self.tls_certificate
    }

    /// PEM of the TLS CA certificates, at least one.
    pub fn tls_authorities(&self) -> &[u8] {
        &self.tls_authorities
    }

    /// The SSH certificate in the form of `authorized_keys`, if there is one.
    pub fn ssh_certificate(&self) -> Option<&[u8]> {
        self.ssh_certificate.as_deref()
    }

    /// SSH CAs in the form of `known_hosts`.
    pub fn ssh_authorities(&self) -> &[Vec<u8>] {
        &self.ssh_authorities
    }
}

impl fmt::Debug for IdentityFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IdentityFile")
            .field("ssh_certificate", &self.ssh_certificate.is_some())
            .field("ssh_authorities", &self.ssh_authorities.len())
            .finish_non_exhaustive()
    }
}

/// A PEM block with its first line's number.
struct Block {
    line: usize,
    label: String,
    text: Vec<u8>,
}

impl Block {
    fn begin(line: usize, first: &[u8]) -> Self {
        let label = first.strip_prefix(b"-----BEGIN ").and_then(|rest| rest.strip_suffix(b"-----"));
        // A label goes into error messages: nothing but what a label can be.
        let label = label
            .filter(|label| label.len() <= 40)
            .filter(|label| label.iter().all(|b| b.is_ascii_uppercase() || *b == b' '))
            .map_or_else(|| "?".to_owned(), |label| String::from_utf8_lossy(label).into_owned());
        let mut block = Self { line, label, text: Vec::new() };
        block.push(first);
        block
    }

    fn push(&mut self, line: &[u8]) {
        self.text.extend_from_slice(line);
        self.text.push(b'\n');
    }
}

fn is_ssh_certificate(line: &[u8]) -> bool {
    let first = line.split(u8::is_ascii_whitespace).next().unwrap_or_default();
    first.ends_with(b"-cert-v01@openssh.com")
}

fn found(blocks: &[Block]) -> String {
    if blocks.is_empty() {
        return "it holds no PEM block".to_owned();
    }
    let labels: Vec<&str> = blocks.iter().map(|block| block.label.as_str()).take(8).collect();
    format!("it holds: {}", labels.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY_BLOCK: &str = "-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n-----END PRIVATE KEY-----\n";
    const SSH: &str = "ssh-ed25519-cert-v01@openssh.com AAAA me\n";
    const SSH_CA: &str = "@cert-authority proxy.example.com ssh-rsa AAAA type=host\n";

    fn certificate(body: &str) -> String {
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    }

    fn whole() -> String {
        [KEY_BLOCK, SSH, &certificate("Y2xpZW50"), SSH_CA, &certificate("Y2E=")].concat()
    }

    #[test]
    fn the_order_in_which_it_is_written_is_read() {
        let file = IdentityFile::parse(whole().as_bytes()).expect("a whole file");
        assert_eq!(file.private_key(), KEY_BLOCK.as_bytes());
        assert_eq!(file.tls_certificate(), certificate("Y2xpZW50").as_bytes());
        assert_eq!(file.tls_authorities(), certificate("Y2E=").as_bytes());
        assert_eq!(file.ssh_certificate(), Some(SSH.trim().as_bytes()));
        assert_eq!(file.ssh_authorities(), [SSH_CA.trim().as_bytes().to_vec()]);
    }

    #[test]
    fn other_forms_are_read_too() {
        let check = |text: String, authorities: usize, ssh: Option<&str>| {
            let file = IdentityFile::parse(text.as_bytes()).expect("a readable file");
            let begins = file.tls_authorities().windows(11).filter(|w| *w == b"-----BEGIN ");
            assert_eq!(begins.count(), authorities, "{text}");
            assert_eq!(file.ssh_certificate(), ssh.map(str::as_bytes), "{text}");
        };
        // Line ends of another system, blanks, remarks, no SSH part.
        check(whole().replace('\n', "\r\n"), 1, Some(SSH.trim()));
        check(whole().replace('\n', "  \n\t"), 1, Some(SSH.trim()));
        check(["# made by hand\n", &whole().replace(SSH, ""), "\nthe end"].concat(), 1, None);
        // Several CAs; no line end at the end; the last SSH certificate counts.
        let more = [&whole(), certificate("YQ==").trim_end()].concat();
        check(more, 2, Some(SSH.trim()));
        let last = "ecdsa-sha2-nistp256-cert-v01@openssh.com BBBB";
        check([&whole(), last, "\n"].concat(), 1, Some(last));
        // Keys in their older forms.
        for label in ["RSA PRIVATE KEY", "EC PRIVATE KEY", "OPENSSH PRIVATE KEY"] {
            check(whole().replace("PRIVATE KEY", label), 1, Some(SSH.trim()));
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let check = |text: &str, message: &str| {
            let error = IdentityFile::parse(text.as_bytes()).expect_err("an incomplete file");
            assert_eq!(error.to_string(), message);
        };
        let advice = ": make a new one, for instance with `tctl auth sign`";
        let (cert, ca) = (certificate("Y2xpZW50"), certificate("Y2E="));
        check("", &format!("it has no private key (it holds no PEM block){advice}"));
        check(SSH, &format!("it has no private key (it holds no PEM block){advice}"));
        check(
            KEY_BLOCK,
            &format!("it has no TLS client certificate (it holds: PRIVATE KEY){advice}"),
        );
        check(
            &[KEY_BLOCK, &cert].concat(),
            &format!("it has no TLS CA certificate (it holds: PRIVATE KEY, CERTIFICATE){advice}"),
        );
        check(
            &[&cert, &ca[..]].concat(),
            "its private key is expected in line 1, where a block `CERTIFICATE` begins",
        );
        check(
            &[KEY_BLOCK, KEY_BLOCK, &cert].concat(),
            "its TLS client certificate is expected in line 4, where a block `PRIVATE KEY` begins",
        );
        check(
            &[&whole(), KEY_BLOCK].concat(),
            "its TLS CA certificate is expected in line 12, where a block `PRIVATE KEY` begins",
        );
        check(
            "x\n-----BEGIN PRIVATE KEY-----\nc2VjcmV0\n",
            "the PEM block that begins in line 2 has no end line: is the file cut off?",
        );
    }

    #[test]
    fn nothing_secret_is_printed() {
        let file = IdentityFile::parse(whole().as_bytes()).expect("a whole file");
        assert!(!format!("{file:?}").contains("c2VjcmV0"));
        let odd = "-----BEGIN c2VjcmV0-----\nx\n-----END x-----";
        let error = IdentityFile::parse(odd.as_bytes()).expect_err("no key");
        assert!(!format!("{error} {error:?}").contains("c2VjcmV0"), "{error}");
    }
}
