//! What the exports do, in safe code.

use std::fmt::Write;
use std::sync::Arc;

use ev_core::abi::{self, CallFlags, Header, Status};
use ev_core::{Facts, LoginFacts};
use ev_decode::{Answer, Options, Scratch, Table, Transcoder};

/// No event of this many bytes leaves anything behind that would have to be given back.
const SMALL: usize = 4096;

/// The guest's one state: buffers that are used again, and nothing of an event.
pub(crate) struct Guest {
    /// Read once; a module without a usable table refuses everything and says why.
    table: Result<Arc<Table>, String>,
    scratch: Scratch,
    /// Where the host writes a batch. It only grows, so that it is zeroed only once.
    input: Vec<u8>,
    /// The answer to the last batch.
    output: Vec<u8>,
    /// The description or the last error.
    text: String,
}

impl Guest {
    pub(crate) fn new(table: &'static [u8]) -> Self {
        let table = if table.is_empty() {
            Err("this module has no schema table".to_owned())
        } else {
            Table::parse_static(table).map(Arc::new).map_err(|error| error.to_string())
        };
        Self {
            table,
            scratch: Scratch::new(),
            input: Vec::new(),
            output: Vec::new(),
            text: String::new(),
        }
    }

    pub(crate) fn alloc(&mut self, len: u32) -> u32 {
        let Ok(len) = usize::try_from(len) else { return 0 };
        if self.input.len() < len {
            // A new buffer rather than a larger one: what stood in it is of no use any more.
            self.input = Vec::new();
            if self.input.try_reserve_exact(len).is_err() {
                return 0;
            }
            self.input.resize(len, 0);
        }
        // An empty buffer has no address of its own, but 0 would be a refusal.
        if self.input.is_empty() { 1 } else { address(&self.input) }
    }

    pub(crate) fn decode_batch(&mut self, at: u32, len: u32, flags: u32) -> i64 {
        self.text.clear();
        match self.answer(at, len, flags) {
            Ok(()) => packed(&self.output),
            Err(error) => {
                self.text = error;
                0
            }
        }
    }

    fn answer(&mut self, at: u32, len: u32, flags: u32) -> Result<(), String> {
        let table = self.table.as_ref().map_err(Clone::clone)?;
        let flags = CallFlags::from_bits(flags).ok_or("undefined flags")?;
        if at != address(&self.input) {
            return Err("the batch is not in the buffer given out last".into());
        }
        let question = usize::try_from(len).ok().and_then(|len| self.input.get(..len));
        let question = question.ok_or("the batch is damaged")?;
        let events = abi::read_batch(question).ok_or("the batch is damaged")?;

        let options = Options { login: flags.login, ..Options::default() };
        let transcoder = Transcoder::new(Arc::clone(table), flags.flavour, options);
        self.output.clear();
        self.output.reserve(answer_len(events.len(), question.len()));
        for event in events {
            record(&transcoder, &mut self.scratch, event, flags, &mut self.output)?;
        }
        if question.len() > SMALL {
            self.scratch.trim();
        }
        Ok(())
    }

    pub(crate) fn describe(&mut self) -> i64 {
        self.text.clear();
        if let Err(error) = describe(&self.table, &mut self.text) {
            self.text = error;
            return 0;
        }
        packed(self.text.as_bytes())
    }

    pub(crate) fn error(&mut self) -> i64 {
        packed(self.text.as_bytes())
    }
}

/// About as many bytes as the answer to a usual batch will have. Large events make their own room,
/// exactly: growing step by step needs up to three times the length at once.
fn answer_len(events: usize, wire: usize) -> usize {
    const LARGE: usize = 1 << 20;
    events * abi::HEADER_LEN + if wire < LARGE { wire / 2 * 3 } else { 0 }
}

/// Appends the record of one event.
fn record(
    transcoder: &Transcoder,
    scratch: &mut Scratch,
    event: &[u8],
    flags: CallFlags,
    output: &mut Vec<u8>,
) -> Result<(), String> {
    let start = output.len();
    output.extend_from_slice(&[0; abi::HEADER_LEN]);
    if flags.login {
        output.extend_from_slice(&[0; abi::LOGIN_LEN]);
    }
    let answer = transcoder.decode_one(scratch, event, flags.mode, output);
    let (status, at, facts) = match &answer {
        Answer::Decoded(facts) => (Status::Decoded, 0, Some(facts)),
        Answer::Unknown { at, facts, .. } => (Status::Unknown, *at, facts.as_ref()),
        Answer::Malformed { at, what } => {
            output.extend_from_slice(what.as_bytes());
            (Status::Malformed, *at, None)
        }
        Answer::Unprintable { at, what, facts } => {
            output.extend_from_slice(what.as_bytes());
            (Status::Unprintable, *at, facts.as_ref())
        }
    };
    let none = Facts::default();
    let facts = facts.unwrap_or(&none);
    if facts.uid.is_empty() {
        // Rare enough to move what was written: whether there is a uid is known only now.
        let digest = start + abi::HEADER_LEN;
        let end = output.len();
        output.resize(end + abi::DIGEST_LEN, 0);
        output.copy_within(digest..end, digest + abi::DIGEST_LEN);
        let bytes = facts.digest.unwrap_or_default();
        output[digest..digest + abi::DIGEST_LEN].copy_from_slice(&bytes);
    }
    if flags.login {
        let digest_len = if facts.uid.is_empty() { abi::DIGEST_LEN } else { 0 };
        let login = start + abi::HEADER_LEN + digest_len;
        let bytes = abi::write_login(&facts.login.unwrap_or(LoginFacts::default()));
        output[login..login + abi::LOGIN_LEN].copy_from_slice(&bytes);
    }
    let record_len = u32::try_from(output.len() - start).map_err(|_| "the answer is too long")?;
    let header = header(record_len, status, at, facts);
    output[start..start + abi::HEADER_LEN].copy_from_slice(&header.to_bytes());
    Ok(())
}

fn header(record_len: u32, status: Status, at: u32, facts: &Facts) -> Header {
    Header {
        record_len,
        status: status.to_number(),
        case: facts.case,
        at,
        kind: facts.kind,
        uid: facts.uid,
        session: facts.session,
        nanos: facts.time.subsec_nanos(),
        index: facts.index,
        seconds: facts.time.seconds(),
    }
}

/// Writes what this module is: a JSON object.
fn describe(table: &Result<Arc<Table>, String>, text: &mut String) -> Result<(), String> {
    let table = table.as_ref().map_err(Clone::clone)?;
    let mut write = || -> std::fmt::Result {
        write!(text, "{{\"abi\":{},\"producer\":", abi::ABI_VERSION)?;
        string(text, concat!(env!("CARGO_PKG_NAME"), " ", env!("CARGO_PKG_VERSION")))?;
        text.push_str(",\"auth_version\":");
        string(text, table.auth_version().as_str())?;
        text.push_str(",\"schema_sha256\":\"");
        table.schema_sha256().iter().try_for_each(|byte| write!(text, "{byte:02x}"))?;
        text.push_str("\",\"events\":[");
        for (index, (number, name)) in table.cases().enumerate() {
            text.push_str(if index == 0 { "{\"number\":" } else { ",{\"number\":" });
            write!(text, "{number}")?;
            if let Some(name) = name {
                text.push_str(",\"name\":");
                string(text, name)?;
            }
            text.push('}');
        }
        text.push_str("]}");
        Ok(())
    };
    write().map_err(|_| "failed to format the description".to_owned())
}

fn string(out: &mut String, text: &str) -> std::fmt::Result {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' | '\\' => write!(out, "\\{c}")?,
            c if c.is_control() => write!(out, "\\u{:04x}", u32::from(c))?,
            c => out.push(c),
        }
    }
    out.push('"');
    Ok(())
}

fn packed(bytes: &[u8]) -> i64 {
    match u32::try_from(bytes.len()) {
        Ok(len) => abi::pack(address(bytes), len),
        Err(_) => 0,
    }
}

/// The address by which the host reaches these bytes.
fn address(bytes: &[u8]) -> u32 {
    // 32 bits in the guest; anywhere else there is no host to give it to.
    u32::try_from(bytes.as_ptr().expose_provenance()).unwrap_or(0)
}
