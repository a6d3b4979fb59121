//! Request bodies made of stretches of a batch, none of them copied.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use crate::io::Progress;

/// The parts of a body, in order; cheap to copy for a second try.
#[derive(Clone, Debug, Default)]
pub(crate) struct Parts(VecDeque<Bytes>);

impl Parts {
    /// `[`, the stretches joined by commas, `]`.
    pub(crate) fn array(stretches: impl Iterator<Item = Bytes>) -> Self {
        let mut parts = VecDeque::from([Bytes::from_static(b"[")]);
        for (index, stretch) in stretches.enumerate() {
            if index > 0 {
                parts.push_back(Bytes::from_static(b","));
            }
            parts.push_back(stretch);
        }
        parts.push_back(Bytes::from_static(b"]"));
        Self(parts)
    }

    /// One piece, as it is.
    pub(crate) fn object(json: Bytes) -> Self {
        Self(VecDeque::from([json]))
    }

    /// The parts in order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Bytes> + Clone {
        self.0.iter()
    }

    /// Bytes of all parts.
    pub(crate) fn len(&self) -> u64 {
        self.0.iter().map(|part| part.len() as u64).sum()
    }
}

/// A body that is being sent.
pub(crate) struct JsonBody {
    parts: Parts,
    progress: Arc<Progress>,
}

impl JsonBody {
    pub(crate) fn new(parts: Parts, progress: Arc<Progress>) -> Self {
        if parts.len() == 0 {
            progress.body_taken();
        }
        Self { parts, progress }
    }
}

impl Body for JsonBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let part = self.parts.0.pop_front();
        if self.parts.0.is_empty() {
            self.progress.body_taken();
        }
        Poll::Ready(part.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.parts.0.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        // Exact, so the request carries `Content-Length` instead of chunks.
        SizeHint::with_exact(self.parts.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(parts: &Parts) -> String {
        parts.0.iter().map(|part| String::from_utf8_lossy(part)).collect()
    }

    #[test]
    fn an_array_has_commas_only_between() {
        let stretch = |text: &'static str| Bytes::from_static(text.as_bytes());
        assert_eq!(text(&Parts::array([].into_iter())), "[]");
        assert_eq!(text(&Parts::array([stretch("{1}")].into_iter())), "[{1}]");
        let three = Parts::array([stretch("{1},{2}"), stretch("{3}"), stretch("{4}")].into_iter());
        assert_eq!(text(&three), "[{1},{2},{3},{4}]");
        assert_eq!(three.len(), 17);
    }
}
