//! Places for answers that are under way: so many in all, and no more than a share of them for one
//! peer.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tonic::Status;

use super::ServeLimits;

/// How many places each peer has; only peers that have one are in it.
type Shares = Mutex<HashMap<IpAddr, usize>>;

/// All places.
#[derive(Clone, Debug)]
pub(super) struct Places {
    free: Arc<Semaphore>,
    shares: Arc<Shares>,
    for_a_peer: usize,
}

/// A place that is taken; free again when it is dropped. Whatever works for an answer owns it, a
/// thread that reads from the disk too, which goes on when nobody waits for it any more.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    shares: Arc<Shares>,
    peer: Option<IpAddr>,
}

impl Places {
    pub(super) fn new(limits: &ServeLimits) -> Self {
        Self {
            free: Arc::new(Semaphore::new(limits.answers.min(Semaphore::MAX_PERMITS))),
            shares: Arc::default(),
            for_a_peer: limits.answers_per_peer,
        }
    }

    /// Takes a place. A peer that is not known has no share of its own to keep to.
    ///
    /// # Errors
    ///
    /// `RESOURCE_EXHAUSTED` when the peer has its share, or all places are taken.
    pub(super) fn take(&self, peer: Option<IpAddr>) -> Result<Place, Status> {
        let peer = peer.map(network);
        let mut shares = lock(&self.shares);
        let has = peer.and_then(|peer| shares.get(&peer)).copied().unwrap_or(0);
        if peer.is_some() && has >= self.for_a_peer {
            let message = format!("{has} answers to this address are under way, its share");
            return Err(Status::resource_exhausted(message));
        }
        let permit = Arc::clone(&self.free)
            .try_acquire_owned()
            .map_err(|_| Status::resource_exhausted("too many answers are under way"))?;
        if let Some(peer) = peer {
            shares.insert(peer, has + 1);
        }
        Ok(Place { _permit: permit, shares: Arc::clone(&self.shares), peer })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let Some(peer) = self.peer else { return };
        let mut shares = lock(&self.shares);
        match shares.get_mut(&peer) {
            Some(has @ 2..) => *has -= 1,
            _ => drop(shares.remove(&peer)),
        }
    }
}

fn lock(shares: &Shares) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
    // Nothing inside leaves the counts half changed.
    shares.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What counts as one peer: an IPv4 address, or the /64 of an IPv6 address, of which a single
/// machine commonly has them all.
fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(peer) => peer.into(),
        IpAddr::V6(peer) => Ipv6Addr::from_bits(peer.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

#[cfg(test)]
impl Places {
    /// The places that are free.
    pub(super) fn free(&self) -> &Semaphore {
        &self.free
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::*;

    fn places(in_all: usize, for_a_peer: usize) -> Places {
        let limits =
            ServeLimits { answers: in_all, answers_per_peer: for_a_peer, ..ServeLimits::default() };
        Places::new(&limits)
    }

    fn take(places: &Places, peer: &str) -> Result<Place, (Code, String)> {
        let peer = (!peer.is_empty()).then(|| peer.parse().expect(peer));
        places.take(peer).map_err(|status| (status.code(), status.message().to_owned()))
    }

    fn refused(message: &str) -> (Code, String) {
        (Code::ResourceExhausted, message.to_owned())
    }

    #[test]
    fn a_peer_has_its_share_and_leaves_the_rest_to_others() {
        let places = places(5, 2);
        let first = (take(&places, "10.0.0.1").unwrap(), take(&places, "10.0.0.1").unwrap());
        let share = refused("2 answers to this address are under way, its share");
        assert_eq!(take(&places, "10.0.0.1").unwrap_err(), share);
        let second = (take(&places, "10.0.0.2").unwrap(), take(&places, "10.0.0.2").unwrap());
        let third = take(&places, "10.0.0.3").unwrap();
        let all = refused("too many answers are under way");
        assert_eq!(take(&places, "10.0.0.3").unwrap_err(), all);
        assert_eq!(take(&places, "").unwrap_err(), all);
        drop(first);
        let again = (take(&places, "10.0.0.1").unwrap(), take(&places, "10.0.0.3").unwrap());
        drop((second, third, again));
        assert_eq!(places.free().available_permits(), 5);
        assert!(lock(&places.shares).is_empty(), "nobody is remembered");
    }

    #[test]
    fn who_is_not_known_has_no_share_to_keep_to() {
        let places = places(3, 1);
        let taken: Vec<_> = (0..3).map(|_| take(&places, "").unwrap()).collect();
        assert_eq!(places.free().available_permits(), 0);
        drop(taken);
        assert_eq!(places.free().available_permits(), 3);
    }

    #[test]
    fn a_machine_is_one_peer_under_all_its_addresses() {
        let check = |a: &str, b: &str, same: bool| {
            let places = places(2, 1);
            let first = take(&places, a).unwrap();
            assert_eq!(take(&places, b).is_err(), same, "{a} {b}");
            drop(first);
        };
        check("10.0.0.1", "::ffff:10.0.0.1", true);
        check("10.0.0.1", "10.0.0.2", false);
        check("2001:db8::1", "2001:db8::ffff:0:0:1", true);
        check("2001:db8::1", "2001:db8:0:1::1", false);
    }
}
