//! Small guests written as text, each part of which a test can replace; and one event with the
//! honest answer to it.

use std::time::Duration;

use bytes::Bytes;
use ev_core::abi::{self, Header, Status};
use ev_core::{
    AuthVersion, DecoderIdentity, DecoderKind, Flavour, Form, LoginFacts, Mode, Output, RawEvent,
    Span,
};
use ev_wasm_host::{HostError, Limits, ModuleDecoder, ModuleHost, Options};

/// The usual limits with a deadline that no honest guest meets, however busy the machine is.
pub(crate) fn patient() -> Limits {
    Limits { call_time: Duration::from_secs(60), ..Limits::default() }
}

/// Where the answer of a guest stands in its memory.
pub(crate) const ANSWER_AT: u32 = 32_768;

/// A guest that answers every batch with the same bytes.
pub(crate) struct Guest {
    pub memory: &'static str,
    pub version: &'static str,
    pub alloc: &'static str,
    /// Instructions that leave the packed pointer.
    pub decode: String,
    pub describe: &'static str,
    pub error: &'static str,
    /// Further fields of the module.
    pub extra: &'static str,
    /// What stands at [`ANSWER_AT`].
    pub data: Vec<u8>,
}

impl Guest {
    pub(crate) fn answering(answer: Vec<u8>) -> Self {
        let len = u32::try_from(answer.len()).expect("a short answer");
        Self {
            memory: r#"(memory (export "memory") 2)"#,
            version: r#"(func (export "ev_abi_version") (result i32) i32.const 1)"#,
            alloc: r#"(func (export "ev_alloc") (param $len i32) (result i32) i32.const 1024)"#,
            decode: format!("i64.const {}", abi::pack(ANSWER_AT, len)),
            describe: r#"(func (export "ev_describe") (result i64) i64.const 0)"#,
            error: r#"(func (export "ev_error") (result i64) i64.const 0)"#,
            extra: "",
            data: answer,
        }
    }

    /// A guest that runs these instructions instead of answering.
    pub(crate) fn running(decode: &str) -> Self {
        Self { decode: decode.into(), ..Self::answering(honest()) }
    }

    pub(crate) fn module(&self) -> Vec<u8> {
        let data: String = self.data.iter().map(|byte| format!("\\{byte:02x}")).collect();
        let Self { memory, version, alloc, decode, describe, error, extra, .. } = self;
        let text = format!(
            r#"(module {memory} {version} {alloc} {describe} {error} {extra}
                (func (export "ev_decode_batch")
                    (param $ptr i32) (param $len i32) (param $flags i32) (result i64)
                    {decode})
                (data (i32.const {ANSWER_AT}) "{data}"))"#
        );
        wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    pub(crate) fn decoder(&self, limits: Limits) -> Result<ModuleDecoder, HostError> {
        decoder(&self.module(), limits, Flavour::Go, Options::default())
    }

    /// The error of decoding `count` times the one event.
    pub(crate) fn failure(&self, limits: Limits, count: usize) -> HostError {
        let decoder = self.decoder(limits).expect("an admissible guest");
        let mut out = Output::default();
        let error = decoder
            .try_decode(&vec![event(); count], Mode::Strict, &mut out)
            .expect_err("a failing guest");
        assert!(out.json().is_empty() && out.outcomes().is_empty(), "the output is as before");
        error
    }
}

pub(crate) fn identity(flavour: Flavour) -> DecoderIdentity {
    DecoderIdentity {
        kind: DecoderKind::Module,
        auth_version: AuthVersion::new("99.0.0"),
        schema_sha256: [0; 32],
        artifact_sha256: None,
        flavour,
    }
}

pub(crate) fn decoder(
    module: &[u8],
    limits: Limits,
    flavour: Flavour,
    options: Options,
) -> Result<ModuleDecoder, HostError> {
    ModuleHost::new(limits)?.compile(module)?.decoder(identity(flavour), options)
}

/// Case 3 `{ 1: { 1: 7, 2: "t", 3: "id", 5: { 1: 5, 2: 9 } }, 2: "user" }`
pub(crate) const EVENT: [u8; 25] = [
    26, 23, 10, 15, 8, 7, 18, 1, b't', 26, 2, b'i', b'd', 42, 4, 8, 5, 16, 9, 18, 4, b'u', b's',
    b'e', b'r',
];

pub(crate) fn event() -> RawEvent {
    RawEvent { form: Form::OneOf, bytes: Bytes::from_static(&EVENT) }
}

pub(crate) const JSON: &str =
    r#"{"ei":7,"event":"t","uid":"id","time":"1970-01-01T00:00:05.000000009Z","user":"user"}"#;

pub(crate) fn header() -> Header {
    Header {
        record_len: 0,
        status: Status::Decoded.to_number(),
        case: 3,
        at: 0,
        kind: Span::new(8, 9),
        uid: Span::new(11, 13),
        session: Span::default(),
        nanos: 9,
        index: 7,
        seconds: 5,
    }
}

pub(crate) fn login() -> LoginFacts {
    LoginFacts { user: Span::new(21, 25), success: Some(true), ..LoginFacts::default() }
}

/// A record whose length is right.
pub(crate) fn record(header: Header, payload: &[u8]) -> Vec<u8> {
    let record_len = u32::try_from(abi::HEADER_LEN + payload.len()).expect("a short record");
    let mut record = Header { record_len, ..header }.to_bytes().to_vec();
    record.extend(payload);
    record
}

/// The honest answer to a batch of one.
pub(crate) fn honest() -> Vec<u8> {
    record(header(), JSON.as_bytes())
}
