//! The authority, the server's certificate and the client's.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, SanType, SerialNumber,
};
use ring::rand::{SecureRandom as _, SystemRandom};
use zeroize::Zeroizing;

use crate::keys::Key;
use crate::names::Names;
use crate::{Error, KeyKind, Passphrase, encrypt};

/// Certificates begin to be valid this much before they are made: clocks of two machines differ.
const BACKDATED: Duration = Duration::from_secs(300);

/// First second of the year 10000, which no certificate can tell (RFC 5280, section 4.1.2.5).
const YEAR_10000: u64 = 253_402_300_800;

/// A certificate and its key, PEM.
pub(crate) struct Pair {
    pub(crate) certificate: String,
    pub(crate) key: Zeroizing<String>,
}

/// All three pairs. The server's key is encrypted.
pub(crate) struct Set {
    pub(crate) ca: Pair,
    pub(crate) server: Pair,
    pub(crate) client: Pair,
}

/// First and last second of validity, since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    from: u64,
    to: u64,
}

impl Validity {
    pub(crate) fn new(now: SystemTime, ttl: Duration) -> Result<Self, Error> {
        let refuse = || Error::Ttl { seconds: ttl.as_secs() };
        let since = now.duration_since(UNIX_EPOCH).map_err(|_| refuse())?;
        let to = since.as_secs().checked_add(ttl.as_secs()).ok_or_else(refuse)?;
        if ttl.as_secs() == 0 || to >= YEAR_10000 {
            return Err(refuse());
        }
        Ok(Self { from: since.saturating_sub(BACKDATED).as_secs(), to })
    }
}

/// Makes all three. Takes seconds for RSA.
pub(crate) fn make(
    kind: KeyKind,
    validity: Validity,
    names: &Names,
    passphrase: &Passphrase,
) -> Result<Set, Error> {
    let [ca_key, server_key, client_key] = Key::generate(kind)?;

    let failed = |of| move |source| Error::Certificate { of, source };
    let ca = authority(validity)?;
    let ca_certificate = ca.self_signed(&ca_key.pair).map_err(failed("CA"))?;
    let issuer = Issuer::from_params(&ca, &ca_key.pair);

    let server = leaf("Server", ExtendedKeyUsagePurpose::ServerAuth, validity, names)?;
    let server = server.signed_by(&server_key.pair, &issuer).map_err(failed("server"))?;
    let client = leaf("Client", ExtendedKeyUsagePurpose::ClientAuth, validity, names)?;
    let client = client.signed_by(&client_key.pair, &issuer).map_err(failed("client"))?;
    Ok(Set {
        ca: Pair { certificate: ca_certificate.pem(), key: ca_key.to_pem()? },
        server: Pair {
            certificate: server.pem(),
            key: encrypt::encrypt(&server_key.pkcs8, passphrase)?,
        },
        client: Pair { certificate: client.pem(), key: client_key.to_pem()? },
    })
}

/// `CN=CA`, which signs leaves and nothing else.
fn authority(validity: Validity) -> Result<CertificateParams, Error> {
    let mut params = common("CA", validity)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params)
}

fn leaf(
    name: &'static str,
    purpose: ExtendedKeyUsagePurpose,
    validity: Validity,
    names: &Names,
) -> Result<CertificateParams, Error> {
    let mut params = common(name, validity)?;
    // Written as `CA:FALSE`, together with the identifier of the key.
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![purpose];
    for name in names.dns() {
        let name = name.as_str().try_into();
        let name = name.map_err(|source| Error::Certificate { of: "server", source })?;
        params.subject_alt_names.push(SanType::DnsName(name));
    }
    params.subject_alt_names.extend(names.ips().iter().map(|ip| SanType::IpAddress(*ip)));
    Ok(params)
}

fn common(name: &'static str, validity: Validity) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.serial_number = Some(serial()?);
    // The authority's own points at itself, which strict verifiers expect.
    params.use_authority_key_identifier_extension = true;
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + Duration::from_secs(validity.from);
    params.not_after = epoch + Duration::from_secs(validity.to);
    Ok(params)
}

/// 127 random bits, the first of which is set so that all have one length.
fn serial() -> Result<SerialNumber, Error> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| Error::Randomness)?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    Ok(SerialNumber::from(bytes.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validity_has_its_limits() {
        let now = UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let validity = |seconds| Validity::new(now, Duration::from_secs(seconds));
        let hour = validity(3600).expect("a good one");
        assert_eq!(hour, Validity { from: 1_799_999_700, to: 1_800_003_600 });
        assert!(validity(0).is_err());
        assert!(validity(YEAR_10000 - 1_800_000_001).is_ok());
        assert!(validity(YEAR_10000 - 1_800_000_000).is_err());
        assert!(validity(u64::MAX).is_err());
        let before = UNIX_EPOCH - Duration::from_secs(1);
        assert!(Validity::new(before, Duration::from_secs(3600)).is_err());
        let early = Validity::new(UNIX_EPOCH, Duration::from_secs(1)).expect("a good one");
        assert_eq!(early, Validity { from: 0, to: 1 });
    }
}
