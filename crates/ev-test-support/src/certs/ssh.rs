//! The SSH lines of an identity file: of the right shape, signed by nobody. Nothing that connects
//! to Auth directly looks at them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

const KIND: &str = "ssh-ed25519-cert-v01@openssh.com";

/// One line with a user certificate, as OpenSSH writes it.
pub(super) fn certificate(user: &str) -> String {
    let mut blob = Vec::new();
    string(&mut blob, KIND.as_bytes());
    string(&mut blob, &[7; 32]); // nonce
    string(&mut blob, &[8; 32]); // public key
    blob.extend(0u64.to_be_bytes()); // serial
    blob.extend(1u32.to_be_bytes()); // user certificate
    string(&mut blob, user.as_bytes()); // key id
    let mut principals = Vec::new();
    string(&mut principals, user.as_bytes());
    string(&mut blob, &principals);
    blob.extend(0u64.to_be_bytes()); // valid after
    blob.extend(u64::MAX.to_be_bytes()); // valid before
    string(&mut blob, &[]); // critical options
    string(&mut blob, &[]); // extensions
    string(&mut blob, &[]); // reserved
    string(&mut blob, &public_key()); // key of the authority
    let mut signature = Vec::new();
    string(&mut signature, b"ssh-ed25519");
    string(&mut signature, &[9; 64]);
    string(&mut blob, &signature);
    format!("{KIND} {}", STANDARD.encode(blob))
}

/// One line with a host authority, in `known_hosts` form.
pub(super) fn authority(cluster: &str) -> String {
    let key = STANDARD.encode(public_key());
    format!("@cert-authority {cluster},*.{cluster} ssh-ed25519 {key} type=host")
}

fn public_key() -> Vec<u8> {
    let mut key = Vec::new();
    string(&mut key, b"ssh-ed25519");
    string(&mut key, &[5; 32]);
    key
}

fn string(out: &mut Vec<u8>, bytes: &[u8]) {
    let len = u32::try_from(bytes.len()).expect("the parts of a certificate are short");
    out.extend(len.to_be_bytes());
    out.extend(bytes);
}
