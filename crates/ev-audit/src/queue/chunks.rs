//! Frames in memory: whole frames back to back in chunks that are used again.
//!
//! A chunk is what one write takes. Besides its bytes it holds where each frame ends (four bytes a
//! frame) and the number of its first frame; the frames of a chunk are numbered without gaps. So a
//! frame costs its own bytes and less than one percent.

use std::collections::VecDeque;
use std::sync::Arc;

/// What a chunk holds unless one frame alone is longer: as much as one write should take, and
/// what other writers of this format stay below (65,360 bytes a frame).
pub(crate) const CHUNK_BYTES: usize = 64 * 1024;

/// Emptied chunks that are kept for later: enough for the sender to hand them back as fast as
/// they are filled, little enough to forget.
const SPARE_CHUNKS: usize = 8;

/// Whole frames back to back.
#[derive(Debug, Default, Clone)]
pub(crate) struct Chunk {
    bytes: Vec<u8>,
    /// Where each frame ends, counted from the start of `bytes`.
    ends: Vec<u32>,
    /// Frames at the front that are no longer there.
    gone: usize,
    /// The number of the first frame in `bytes`, whether gone or not.
    first: u64,
}

impl Chunk {
    /// A chunk of frames that were put together elsewhere.
    pub(crate) fn of(first: u64, bytes: Vec<u8>, ends: Vec<u32>) -> Self {
        debug_assert_eq!(ends.last().map_or(0, |end| *end as usize), bytes.len());
        Self { bytes, ends, gone: 0, first }
    }

    /// Takes the two buffers back, emptied.
    pub(crate) fn into_buffers(mut self) -> (Vec<u8>, Vec<u32>) {
        self.bytes.clear();
        self.ends.clear();
        (self.bytes, self.ends)
    }

    /// All frames ever put in, gone or not: the indices of `frame` go from `gone` to here.
    pub(crate) fn end(&self) -> usize {
        self.ends.len()
    }

    /// The index of the first frame that is still there.
    pub(crate) fn start(&self) -> usize {
        self.gone
    }

    /// Frames that are still there.
    pub(crate) fn frames(&self) -> usize {
        self.ends.len() - self.gone
    }

    /// Bytes of the frames from index `from` on.
    pub(crate) fn bytes_from(&self, from: usize) -> &[u8] {
        &self.bytes[self.offset(from)..]
    }

    /// Where the frame with index `index` starts.
    pub(crate) fn offset(&self, index: usize) -> usize {
        match index.checked_sub(1) {
            None => 0,
            Some(before) => self.ends[before] as usize,
        }
    }

    /// How many frames end at or before `offset`.
    pub(crate) fn frames_within(&self, offset: usize) -> usize {
        self.ends.partition_point(|end| *end as usize <= offset)
    }

    /// The bytes of one frame.
    pub(crate) fn frame(&self, index: usize) -> &[u8] {
        &self.bytes[self.offset(index)..self.ends[index] as usize]
    }

    /// The number of the frame with index `index`.
    pub(crate) fn number(&self, index: usize) -> u64 {
        self.first + index as u64
    }

    /// All bytes, also those of frames that are gone.
    pub(crate) fn all_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Gives all frames another time.
    pub(crate) fn stamp(&mut self, seconds: i64) {
        for index in self.gone..self.ends.len() {
            let frame = self.offset(index)..self.ends[index] as usize;
            crate::wire::stamp(&mut self.bytes[frame], seconds);
        }
    }

    /// The ends of the frames from index `from` on, counted from the start of the first of them.
    pub(crate) fn ends_from(&self, from: usize) -> Vec<u32> {
        let base = if from == 0 { 0 } else { self.ends[from - 1] };
        self.ends[from..].iter().map(|end| end - base).collect()
    }

    pub(crate) fn forget_until(&mut self, index: usize) {
        debug_assert!(index >= self.gone && index <= self.ends.len());
        self.gone = index;
    }

    fn fits(&self, frame: usize) -> bool {
        self.bytes.len() + frame <= self.bytes.capacity().min(CHUNK_BYTES) || self.ends.is_empty()
    }

    /// The memory held by it.
    #[cfg(test)]
    fn held(&self) -> usize {
        self.bytes.capacity() + self.ends.capacity() * size_of::<u32>() + size_of::<Self>()
    }
}

/// Chunks in the order of their frames.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    chunks: VecDeque<Arc<Chunk>>,
    spare: Vec<Arc<Chunk>>,
    frames: usize,
    bytes: usize,
}

impl Chunks {
    pub(crate) fn frames(&self) -> usize {
        self.frames
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Appends a frame with the number `number`, which is above that of every frame before it.
    pub(crate) fn push(&mut self, number: u64, frame: &[u8]) {
        let tail = match self.chunks.back_mut().and_then(Arc::get_mut) {
            Some(tail) if tail.fits(frame.len()) && tail.number(tail.end()) == number => tail,
            _ => self.add_chunk(number, frame.len()),
        };
        tail.bytes.extend_from_slice(frame);
        tail.ends
            .push(u32::try_from(tail.bytes.len()).expect("frames are bounded far below 4 GiB"));
        self.frames += 1;
        self.bytes += frame.len();
    }

    fn add_chunk(&mut self, number: u64, frame: usize) -> &mut Chunk {
        self.seal_tail();
        let mut chunk = self.spare.pop().unwrap_or_default();
        let fresh = Arc::make_mut(&mut chunk);
        fresh.first = number;
        let capacity = CHUNK_BYTES.max(frame);
        if fresh.bytes.capacity() < capacity {
            fresh.bytes.reserve_exact(capacity);
        }
        self.chunks.push_back(chunk);
        self.chunks
            .back_mut()
            .and_then(Arc::get_mut)
            .expect("it was just made, and nobody else has it")
    }

    /// Gives back what a full chunk did not use when that is much: frames of 20 kB would waste a
    /// tenth. Typical ones waste less than a hundredth, and their chunks are left alone.
    fn seal_tail(&mut self) {
        if let Some(tail) = self.chunks.back_mut().and_then(Arc::get_mut)
            && tail.bytes.capacity() - tail.bytes.len() > CHUNK_BYTES / 50
        {
            tail.bytes.shrink_to_fit();
            tail.ends.shrink_to_fit();
        }
    }

    /// Takes the oldest chunk.
    pub(crate) fn pop(&mut self) -> Option<Arc<Chunk>> {
        let chunk = self.chunks.pop_front()?;
        self.frames -= chunk.frames();
        self.bytes -= chunk.bytes_from(chunk.start()).len();
        Some(chunk)
    }

    /// Puts a chunk whose frames are older than all others in front of them.
    pub(crate) fn push_front(&mut self, chunk: Arc<Chunk>) {
        if chunk.frames() == 0 {
            self.recycle(chunk);
            return;
        }
        self.frames += chunk.frames();
        self.bytes += chunk.bytes_from(chunk.start()).len();
        self.chunks.push_front(chunk);
    }

    /// The number of the oldest frame.
    pub(crate) fn first_number(&self) -> Option<u64> {
        self.chunks.front().map(|chunk| chunk.number(chunk.start()))
    }

    /// Forgets the oldest frame, and hands it to `seen` first.
    pub(crate) fn drop_first(&mut self, seen: impl FnOnce(u64, &[u8])) -> bool {
        let Some(front) = self.chunks.front_mut() else { return false };
        let chunk = Arc::make_mut(front);
        let index = chunk.start();
        let frame = chunk.frame(index);
        let length = frame.len();
        seen(chunk.number(index), frame);
        chunk.forget_until(index + 1);
        self.frames -= 1;
        self.bytes -= length;
        if chunk.frames() == 0
            && let Some(empty) = self.chunks.pop_front()
        {
            self.recycle(empty);
        }
        true
    }

    /// Keeps an emptied chunk for later, if nobody else holds it and it has the usual size.
    pub(crate) fn recycle(&mut self, mut chunk: Arc<Chunk>) {
        if self.spare.len() >= SPARE_CHUNKS {
            return;
        }
        if let Some(inner) = Arc::get_mut(&mut chunk)
            && inner.bytes.capacity() <= CHUNK_BYTES
        {
            inner.bytes.clear();
            inner.ends.clear();
            inner.gone = 0;
            self.spare.push(chunk);
        }
    }

    /// All chunks as they are now, oldest first. Only the one that is being filled is copied.
    pub(crate) fn share(&self) -> impl Iterator<Item = Arc<Chunk>> {
        let last = self.chunks.len().saturating_sub(1);
        self.chunks.iter().enumerate().map(move |(index, chunk)| match index == last {
            true => Arc::new(Chunk::clone(chunk)),
            false => chunk.clone(),
        })
    }

    /// Every frame that is there, oldest first.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        self.chunks
            .iter()
            .flat_map(|chunk| (chunk.start()..chunk.end()).map(|index| chunk.frame(index)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(lengths: impl IntoIterator<Item = usize>) -> Chunks {
        let mut chunks = Chunks::default();
        for (number, length) in lengths.into_iter().enumerate() {
            let byte = u8::try_from(number % 251).unwrap();
            chunks.push(number as u64, &vec![byte; length]);
        }
        chunks
    }

    #[test]
    fn frames_come_out_as_they_went_in() {
        let lengths = [1, 70_000, 575, 65_536, 3, 40_000, 40_000];
        let chunks = filled(lengths);
        assert_eq!(chunks.frames(), lengths.len());
        assert_eq!(chunks.bytes(), lengths.iter().sum::<usize>());
        for (number, (frame, length)) in chunks.iter().zip(lengths).enumerate() {
            assert_eq!(frame.len(), length);
            assert!(frame.iter().all(|byte| usize::from(*byte) == number));
        }
        let per_chunk: Vec<usize> = chunks.chunks.iter().map(|chunk| chunk.frames()).collect();
        assert_eq!(per_chunk, [1, 1, 1, 1, 2, 1], "whole frames, and up to 64 KiB in each chunk");
    }

    #[test]
    fn a_full_queue_holds_five_percent_more_than_its_frames() {
        for (frame, count) in [(575, 40_000), (340, 40_000), (9_000, 3_000), (20_000, 1_000)] {
            let chunks = filled(std::iter::repeat_n(frame, count));
            let held: usize = chunks.chunks.iter().map(|chunk| chunk.held()).sum();
            let pointers = chunks.chunks.capacity() * size_of::<usize>();
            let limit = chunks.bytes() + chunks.bytes() / 20;
            assert!(held + pointers <= limit, "{held} + {pointers} for {} bytes", chunks.bytes());
        }
    }

    #[test]
    fn the_oldest_frame_is_dropped_and_the_rest_keeps_its_numbers() {
        let mut chunks = filled(std::iter::repeat_n(30_000, 5));
        let mut dropped = Vec::new();
        for _ in 0..3 {
            assert!(chunks.drop_first(|number, frame| dropped.push((number, frame.len()))));
        }
        assert_eq!(dropped, [(0, 30_000), (1, 30_000), (2, 30_000)]);
        assert_eq!(chunks.first_number(), Some(3));
        assert_eq!((chunks.frames(), chunks.bytes()), (2, 60_000));
        let chunk = chunks.pop().unwrap();
        assert_eq!((chunk.start(), chunk.end(), chunk.number(chunk.start())), (1, 2, 3));
        assert_eq!(chunk.ends_from(1), [30_000]);
        chunks.push_front(chunk);
        assert_eq!(chunks.first_number(), Some(3));
        while chunks.drop_first(|_, _| ()) {}
        assert!(chunks.is_empty());
        assert_eq!(chunks.bytes(), 0);
        assert!(!chunks.drop_first(|_, _| ()));
    }

    #[test]
    fn chunks_are_used_again_without_allocating() {
        let mut chunks = Chunks::default();
        let frame = vec![7; 575];
        let mut number = 0;
        let mut round = |chunks: &mut Chunks| {
            for _ in 0..1_000 {
                chunks.push(number, &frame);
                number += 1;
            }
            while let Some(chunk) = chunks.pop() {
                chunks.recycle(chunk);
            }
        };
        // The first rounds make the chunks and the room for where frames end.
        for _ in 0..10 {
            round(&mut chunks);
        }
        let counted = allocation_counter::measure(|| round(&mut chunks));
        // More chunks than spare ones exist: two of nine are made anew.
        assert!(counted.count_total <= 12, "{counted:?}");
    }

    #[test]
    fn frames_within_an_offset_are_whole_ones() {
        let chunk = Chunk::of(10, vec![0; 60], vec![10, 30, 60]);
        for (offset, frames) in [(0, 0), (9, 0), (10, 1), (29, 1), (30, 2), (59, 2), (60, 3)] {
            assert_eq!(chunk.frames_within(offset), frames, "{offset}");
        }
        assert_eq!(chunk.number(2), 12);
        assert_eq!(chunk.bytes_from(1).len(), 50);
        assert_eq!(chunk.ends_from(1), [20, 50]);
    }
}
