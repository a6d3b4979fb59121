//! Private keys that are protected by a passphrase.
//!
//! Two forms are in use. PKCS#8 (`BEGIN ENCRYPTED PRIVATE KEY`, what OpenSSL 3 writes) says in its
//! own structure how it is encrypted: PBES2 with PBKDF2 or scrypt. The older one (`Proc-Type:
//! 4,ENCRYPTED` inside the block, what `openssl genrsa -aes256` wrote before version 3) encrypts
//! the bytes of a PKCS#1 or SEC1 key, by a key that is one round of MD5 over passphrase and salt.

use aes::{Aes128, Aes192, Aes256};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cbc::cipher::block_padding::Pkcs7;
use cbc::cipher::{BlockModeDecrypt, KeyIvInit};
use des::TdesEde3;
use md5::{Digest as _, Md5};
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::pkcs5::Error as Pkcs5;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer};

use crate::passphrase::Passphrase;

/// An encrypted key as it stands in a PEM block.
pub(crate) struct EncryptedKey {
    label: String,
    /// `Proc-Type` and what follows it, in the older form.
    dek_info: Option<String>,
    /// `None` when it is no base64.
    body: Option<Vec<u8>>,
}

/// Why a key stays closed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Closed {
    /// The passphrase is another one, or the key is damaged: that cannot be told apart.
    Wrong,
    /// It is encrypted in a way that is not known here; what the way is called.
    Unsupported(String),
    /// It is not what it says.
    Damaged(&'static str),
}

impl EncryptedKey {
    /// The first private key of a PEM text, if that is an encrypted one.
    pub(crate) fn find(lines: &[&[u8]]) -> Option<Self> {
        let is_key = |line: &&[u8]| label(line).is_some_and(|l| l.ends_with("PRIVATE KEY"));
        let begin = lines.iter().position(is_key)?;
        let label = label(lines[begin])?.to_owned();
        let mut dek_info = None;
        let mut is_old = false;
        let mut text = Vec::new();
        for line in &lines[begin + 1..] {
            if line.starts_with(b"-----END") {
                break;
            }
            if line.starts_with(b"Proc-Type:") && line.ends_with(b"ENCRYPTED") {
                is_old = true;
            } else if let Some(info) = line.strip_prefix(b"DEK-Info:") {
                dek_info = Some(String::from_utf8_lossy(info.trim_ascii()).into_owned());
            } else if !line.contains(&b':') {
                text.extend_from_slice(line);
            }
        }
        let is_new = label == "ENCRYPTED PRIVATE KEY";
        if !is_new && !is_old {
            return None;
        }
        let dek_info = is_old.then(|| dek_info.unwrap_or_default());
        Some(Self { label, dek_info, body: STANDARD.decode(text).ok() })
    }

    /// Opens it. Whether what is inside is a usable key is for others to see.
    pub(crate) fn open(&self, passphrase: &Passphrase) -> Result<PrivateKeyDer<'static>, Closed> {
        let body = self.body.as_deref().ok_or(Closed::Damaged("it is not base64"))?;
        match &self.dek_info {
            None => open_pkcs8(body, passphrase),
            Some(info) => {
                let der = open_old(info, body, passphrase)?;
                match self.label.as_str() {
                    "RSA PRIVATE KEY" => Ok(PrivatePkcs1KeyDer::from(der).into()),
                    "EC PRIVATE KEY" => Ok(PrivateSec1KeyDer::from(der).into()),
                    "PRIVATE KEY" => Ok(PrivatePkcs8KeyDer::from(der).into()),
                    _ => Err(Closed::Damaged("only RSA and EC keys are encrypted in this form")),
                }
            }
        }
    }
}

fn label(line: &[u8]) -> Option<&str> {
    let label = line.strip_prefix(b"-----BEGIN ")?.strip_suffix(b"-----")?;
    std::str::from_utf8(label).ok()
}

fn open_pkcs8(der: &[u8], passphrase: &Passphrase) -> Result<PrivateKeyDer<'static>, Closed> {
    let info = EncryptedPrivateKeyInfoRef::try_from(der).map_err(|_| {
        // The usual reason, and the only one that a good file has, is an older way to encrypt.
        Closed::Unsupported("something other than PBES2 with PBKDF2 or scrypt".to_owned())
    })?;
    let scheme = info.encryption_algorithm.oid().to_string();
    match info.decrypt(passphrase.as_bytes()) {
        Ok(document) => Ok(PrivatePkcs8KeyDer::from(document.as_bytes().to_vec()).into()),
        Err(pkcs8::Error::EncryptedPrivateKey(Pkcs5::UnsupportedAlgorithm { oid })) => {
            Err(Closed::Unsupported(format!("algorithm {oid}")))
        }
        Err(pkcs8::Error::EncryptedPrivateKey(
            Pkcs5::NoPbes1CryptSupport | Pkcs5::AlgorithmParametersInvalid { .. },
        )) => Err(Closed::Unsupported(format!("algorithm {scheme}"))),
        Err(_) => Err(Closed::Wrong),
    }
}

fn open_old(info: &str, body: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>, Closed> {
    let (cipher, iv) =
        info.split_once(',').ok_or(Closed::Damaged("its `DEK-Info` line is broken"))?;
    let iv = hex(iv.trim()).ok_or(Closed::Damaged("its `DEK-Info` line is broken"))?;
    match cipher.trim().to_ascii_uppercase().as_str() {
        "AES-128-CBC" => decrypt::<cbc::Decryptor<Aes128>>(16, &iv, body, passphrase),
        "AES-192-CBC" => decrypt::<cbc::Decryptor<Aes192>>(24, &iv, body, passphrase),
        "AES-256-CBC" => decrypt::<cbc::Decryptor<Aes256>>(32, &iv, body, passphrase),
        "DES-EDE3-CBC" => decrypt::<cbc::Decryptor<TdesEde3>>(24, &iv, body, passphrase),
        other => {
            let name = other.chars().filter(|c| c.is_ascii_graphic()).take(40).collect();
            Err(Closed::Unsupported(name))
        }
    }
}

fn decrypt<C: KeyIvInit + BlockModeDecrypt>(
    key_len: usize,
    iv: &[u8],
    body: &[u8],
    passphrase: &Passphrase,
) -> Result<Vec<u8>, Closed> {
    let salt = iv.get(..8).ok_or(Closed::Damaged("its `DEK-Info` line is broken"))?;
    let key = derive(passphrase.as_bytes(), salt, key_len);
    let cipher = C::new_from_slices(&key, iv)
        .map_err(|_| Closed::Damaged("its `DEK-Info` line is broken"))?;
    let plain = cipher.decrypt_padded_vec::<Pkcs7>(body).map_err(|_| Closed::Wrong)?;
    // A wrong passphrase passes the check of the padding once in 256 times. What is inside is one
    // ASN.1 sequence, which chance does not make.
    if is_sequence(&plain) { Ok(plain) } else { Err(Closed::Wrong) }
}

/// OpenSSL's `EVP_BytesToKey` with MD5 and one round.
fn derive(passphrase: &[u8], salt: &[u8], len: usize) -> Vec<u8> {
    let mut key: Vec<u8> = Vec::new();
    let mut last: Vec<u8> = Vec::new();
    while key.len() < len {
        let mut hash = Md5::new();
        hash.update(&last);
        hash.update(passphrase);
        hash.update(salt);
        last = hash.finalize().to_vec();
        key.extend_from_slice(&last);
    }
    key.truncate(len);
    key
}

/// Whether these bytes are exactly one DER sequence.
fn is_sequence(der: &[u8]) -> bool {
    let [0x30, first, rest @ ..] = der else { return false };
    if *first < 0x80 {
        return rest.len() == usize::from(*first);
    }
    let count = usize::from(first & 0x7f);
    if count > 4 || rest.len() < count {
        return false;
    }
    let (len, body) = rest.split_at(count);
    len.iter().fold(0_usize, |len, byte| len << 8 | usize::from(*byte)) == body.len()
}

fn hex(text: &str) -> Option<Vec<u8>> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).ok()).collect()
}
