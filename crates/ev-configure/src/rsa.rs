//! RSA keys: two random primes and what follows from them (FIPS 186-5, appendix A.1.3).
//!
//! Primes are found with `crypto-primes`, starting from random numbers of the operating system.
//! Signing is left to `ring`, which checks a key when it reads it; nothing here ever uses one, so
//! nothing here can leak one by its timing but by being made, which nobody can watch often.

use std::num::NonZero;

use crypto_bigint::{BoxedUint, ConcatenatingMul as _, Gcd as _};
use crypto_primes::hazmat::SmallFactorsSieve;
use crypto_primes::{Flavor, is_prime};
use der::asn1::{AnyRef, ObjectIdentifier, OctetStringRef, UintRef};
use der::{Encode as _, Sequence};
use pkcs8::{AlgorithmIdentifierRef, PrivateKeyInfoRef};
use ring::rand::{SecureRandom, SystemRandom};
use zeroize::Zeroizing;

use crate::Error;

/// The public exponent that everybody uses, 65537.
const EXPONENT: [u8; 3] = [1, 0, 1];

/// RFC 8017, appendix A.1.
const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

/// The primes must differ in one of their first 100 bits, or the modulus could be factored from
/// its root (FIPS 186-5, appendix A.1.3, step 5.4).
const DIFFERENT_BITS: u32 = 100;

/// Makes a key whose modulus has `bits` bits, an even number of at least 2048, as PKCS#8 DER.
///
/// # Errors
///
/// [`Error::Randomness`]; [`Error::Key`] when the key cannot be written.
pub(crate) fn generate(bits: u32) -> Result<Zeroizing<Vec<u8>>, Error> {
    let random = SystemRandom::new();
    let half = bits / 2;
    let p = prime(&random, half)?;
    loop {
        let q = prime(&random, half)?;
        if is_far(&p, &q, half)
            && let Some(key) = Components::new(&p, &q)
        {
            return key.to_pkcs8();
        }
    }
}

/// A random prime with both upper bits set, so that the product of two has twice its bits, and
/// whose predecessor has no factor with the exponent in common.
fn prime(random: &dyn SecureRandom, bits: u32) -> Result<BoxedUint, Error> {
    let one = BoxedUint::one_with_precision(bits);
    let exponent = exponent(bits);
    loop {
        let Some(start) = odd_number(random, bits)? else { continue };
        let Some(length) = NonZero::new(bits) else { continue };
        let Ok(sieve) = SmallFactorsSieve::new(start, length, false) else { continue };
        // The sieve ends at the largest number of so many bits; then it begins anew elsewhere.
        let found = sieve
            .filter(|candidate| is_prime(Flavor::Any, candidate))
            .find(|candidate| candidate.wrapping_sub(&one).gcd(&exponent) == one);
        if let Some(prime) = found {
            return Ok(prime);
        }
    }
}

/// A random odd number of so many bits with both upper ones set.
fn odd_number(random: &dyn SecureRandom, bits: u32) -> Result<Option<BoxedUint>, Error> {
    let mut bytes = Zeroizing::new(vec![0; (bits / 8) as usize]);
    random.fill(&mut bytes).map_err(|_| Error::Randomness)?;
    if let [first, .., last] = &mut bytes[..] {
        *first |= 0b1100_0000;
        *last |= 1;
    }
    Ok(BoxedUint::from_be_slice(&bytes, bits).ok())
}

fn exponent(bits: u32) -> BoxedUint {
    BoxedUint::from_be_slice(&EXPONENT, bits).expect("three bytes fit into every key")
}

fn is_far(p: &BoxedUint, q: &BoxedUint, bits: u32) -> bool {
    let (larger, smaller) = if p > q { (p, q) } else { (q, p) };
    larger.wrapping_sub(smaller).bits() > bits - DIFFERENT_BITS
}

/// Numbers of a key, big-endian (RFC 8017, section 3.2).
struct Components {
    n: Zeroizing<Box<[u8]>>,
    d: Zeroizing<Box<[u8]>>,
    p: Zeroizing<Box<[u8]>>,
    q: Zeroizing<Box<[u8]>>,
    dp: Zeroizing<Box<[u8]>>,
    dq: Zeroizing<Box<[u8]>>,
    qinv: Zeroizing<Box<[u8]>>,
}

impl Components {
    /// `None` when the primes do not make a key, which is as good as impossible for random ones.
    fn new(p: &BoxedUint, q: &BoxedUint) -> Option<Self> {
        let half = p.bits_precision();
        let one = BoxedUint::one_with_precision(half);
        let (p1, q1) = (p.wrapping_sub(&one), q.wrapping_sub(&one));
        let n = p.concatenating_mul(q);
        // The least common multiple of both, as FIPS 186-5 wants it.
        let product = p1.concatenating_mul(&q1);
        let common = p1.gcd(&q1).to_nz().into_option()?;
        let modulus = product.wrapping_div(&common).to_nz().into_option()?;
        let d = exponent(modulus.bits_precision()).invert_mod(&modulus).into_option()?;
        // A short one could be found (step 3 there).
        if d.bits() <= half {
            return None;
        }
        let dp = d.rem(&p1.to_nz().into_option()?);
        let dq = d.rem(&q1.to_nz().into_option()?);
        let qinv = q.rem(&p.to_nz().into_option()?).invert_odd_mod(&p.to_odd().into_option()?);
        let bytes = |number: &BoxedUint| Zeroizing::new(number.to_be_bytes());
        Some(Self {
            n: bytes(&n),
            d: bytes(&d),
            p: bytes(p),
            q: bytes(q),
            dp: bytes(&dp),
            dq: bytes(&dq),
            qinv: bytes(&qinv.into_option()?),
        })
    }

    fn to_pkcs8(&self) -> Result<Zeroizing<Vec<u8>>, Error> {
        let encode = || -> Result<Zeroizing<Vec<u8>>, der::Error> {
            let key = RsaPrivateKey {
                version: 0,
                modulus: UintRef::new(&self.n)?,
                public_exponent: UintRef::new(&EXPONENT)?,
                private_exponent: UintRef::new(&self.d)?,
                prime1: UintRef::new(&self.p)?,
                prime2: UintRef::new(&self.q)?,
                exponent1: UintRef::new(&self.dp)?,
                exponent2: UintRef::new(&self.dq)?,
                coefficient: UintRef::new(&self.qinv)?,
            };
            let pkcs1 = Zeroizing::new(key.to_der()?);
            let algorithm =
                AlgorithmIdentifierRef { oid: RSA_ENCRYPTION, parameters: Some(AnyRef::NULL) };
            let info = PrivateKeyInfoRef::new(algorithm, OctetStringRef::new(&pkcs1)?);
            Ok(Zeroizing::new(info.to_der()?))
        };
        encode().map_err(|error| Error::Key { what: error.to_string() })
    }
}

/// RFC 8017, appendix A.1.2.
#[derive(Sequence)]
struct RsaPrivateKey<'a> {
    version: u8,
    modulus: UintRef<'a>,
    public_exponent: UintRef<'a>,
    private_exponent: UintRef<'a>,
    prime1: UintRef<'a>,
    prime2: UintRef<'a>,
    exponent1: UintRef<'a>,
    exponent2: UintRef<'a>,
    coefficient: UintRef<'a>,
}

#[cfg(test)]
mod tests {
    use ring::signature::RsaKeyPair;

    use super::*;

    #[test]
    fn a_key_has_the_bits_asked_for_and_ring_takes_it() {
        let key = generate(2048).expect("can be made");
        let pair = RsaKeyPair::from_pkcs8(&key).expect("ring checks its numbers");
        assert_eq!(pair.public().modulus_len(), 256);
        assert_ne!(key, generate(2048).expect("can be made"), "no two are alike");
    }

    #[test]
    fn primes_have_both_upper_bits() {
        let random = SystemRandom::new();
        for _ in 0..3 {
            let prime = prime(&random, 256).expect("random numbers");
            assert!(is_prime(Flavor::Any, &prime));
            assert_eq!(prime.bits(), 256);
            assert!(prime.bit_vartime(254));
        }
    }

    #[test]
    fn primes_that_are_too_near_are_not_taken() {
        let number = |bytes: &[u8]| BoxedUint::from_be_slice(bytes, 1024).expect("fits");
        let mut far = [0xc0; 128];
        let p = number(&far);
        far[0] = 0xff;
        assert!(is_far(&p, &number(&far), 1024) && is_far(&number(&far), &p, 1024));
        let mut near = [0xc0; 128];
        near[13] = 0xff;
        assert!(!is_far(&p, &number(&near), 1024), "they have the first 104 bits in common");
        assert!(!is_far(&p, &p, 1024));
    }
}
