//! Which roads Auth is found to offer.

use ev_core::{Source as _, SourceError};
use ev_source::Offers;
use ev_test_support::CallFault;

use crate::rig::Rig;

#[tokio::test]
async fn what_is_not_implemented_is_not_offered_and_what_is_refused_is() {
    let rig = Rig::new();
    let mut source = rig.source(rig.config());
    let roads = source.roads();
    let error = roads.offered().await.expect_err("nobody has connected yet");
    assert!(matches!(error, SourceError::Peer { .. }), "{error:?}");
    source.survey().await.expect("auth answers");

    let all = ["GetEvents", "GetUnstructuredEvents", "GetEventExportChunks"];
    // Nothing is exported yet.
    for offered in 0..4u8 {
        let has = |n: usize| offered & (1 << n) != 0;
        let missing = all.iter().enumerate().filter(|(n, _)| !has(*n));
        let missing: Vec<String> = missing.map(|(_, name)| (*name).to_owned()).collect();
        // Whatever else is wrong with a call shows when it is used.
        let denied = CallFault { code: 7, ..CallFault::default() };
        for fail in [vec![], vec![denied]] {
            rig.auth.set(|switches| {
                switches.unimplemented = missing.clone();
                switches.fail = fail;
            });
            let found = roads.offered().await.expect("auth answers");
            assert_eq!(found, Offers { typed: has(0), unstructured: has(1), export: has(2) });
        }
    }

    let away = CallFault { code: 14, ..CallFault::default() };
    rig.auth.set(|switches| switches.fail = vec![away]);
    let error = roads.offered().await.expect_err("an answer that tells nothing");
    assert!(error.is_retryable(), "{error:?}");
}
