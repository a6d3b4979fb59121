//! Made once, called often; and what is compiled into our own modules.

use ev_core::{Flavour, Mode, Output, RawEvent};
use ev_wasm_host::{Limits, ModuleDecoder, ModuleHost, Options};
use wasmparser::{Parser, Payload};

use crate::golden::TEMPLATE;
use crate::guest::{identity, patient};
use crate::hostile::{good, saying};

fn decoder(limits: Limits) -> (ModuleHost, ModuleDecoder) {
    let host = ModuleHost::new(limits).expect("an engine");
    let module = host.compile(&saying("user")).expect("an admissible guest");
    let decoder = module.decoder(identity(Flavour::Go), Options::default()).expect("an instance");
    (host, decoder)
}

/// Decodes `count` events, a thousand at a time.
fn decode(decoder: &ModuleDecoder, count: usize) {
    let events: Vec<RawEvent> = (10..60).map(|n| good(&n.to_string())).collect();
    let page: Vec<RawEvent> = events.iter().cycle().take(1000).cloned().collect();
    for _ in 0..count / page.len() {
        let mut out = Output::default();
        decoder.try_decode(&page, Mode::Strict, &mut out).expect("answers");
        assert_eq!(out.outcomes().len(), page.len());
    }
}

#[test]
fn one_instance_serves_a_hundred_thousand_events() {
    let (host, decoder) = decoder(patient());
    decode(&decoder, 100_000);
    assert_eq!((decoder.instances_created(), decoder.events()), (1, 100_000));
    decode(&decoder, 1000);
    // It has served its time, and the next one is as good.
    assert_eq!((decoder.instances_created(), decoder.events()), (2, 101_000));
    assert_eq!((host.usage().instances, host.usage().created), (1, 2));
}

#[test]
fn no_more_instances_are_kept_than_the_setting_says() {
    let (host, decoder) = decoder(Limits { idle_instances: 0, ..patient() });
    assert_eq!(host.usage().instances, 0, "not even the first one");
    for calls in 1..=3 {
        decode(&decoder, 1000);
        assert_eq!((host.usage().instances, decoder.instances_created()), (0, 1 + calls));
    }
}

#[test]
fn exports_are_called_a_million_times_on_one_instance() {
    // One exported function is called for a batch, and each batch has one event.
    let limits = Limits { batch_events: 1, recycle_events: u64::MAX, ..patient() };
    let (host, decoder) = decoder(limits);
    let before = host.usage();
    decode(&decoder, 1_000_000);
    assert_eq!((decoder.instances_created(), decoder.events()), (1, 1_000_000));
    assert_eq!(host.usage(), before, "nothing is left of a call");
}

/// A module with the newest schema is small, and has nothing to reach the outside with.
#[test]
fn our_modules_import_nothing_and_stay_small() {
    for table in ev_decode::embedded() {
        let module = ev_modules::build_module(TEMPLATE, table.bytes).expect("a module");
        let imports = Parser::new(0)
            .parse_all(&module)
            .any(|payload| matches!(payload.expect("a valid module"), Payload::ImportSection(_)));
        assert!(!imports, "{} has imports", table.label);
        assert!(module.len() <= 256 * 1024, "{}: {} bytes", table.label, module.len());
    }
}
