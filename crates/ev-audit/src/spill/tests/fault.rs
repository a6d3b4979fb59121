//! Faults of the file system, for the thread that asks for them.

use std::cell::Cell;
use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt as _;

/// What happens to changes of files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::spill) enum Fault {
    /// Nothing.
    None,
    /// So many bytes can be written, then the disk is full.
    Full(u64),
    /// After so many steps nothing is done any more, as if the process had died. Each byte
    /// written is a step, and so is each other change.
    Dead(u64),
    /// Reading fails as on a disk that has a broken sector.
    Unreadable,
    /// Reading fails because the machine is short of something.
    Short,
}

thread_local! {
    static SYNCS: Cell<bool> = const { Cell::new(false) };
    static FAULT: Cell<Fault> = const { Cell::new(Fault::None) };
}

/// Sets what happens from now on.
pub(in crate::spill) fn set(fault: Fault) {
    FAULT.set(fault);
}

/// What is left.
pub(in crate::spill) fn now() -> Fault {
    FAULT.get()
}

/// Whether the process counts as dead.
pub(in crate::spill) fn is_dead() -> bool {
    FAULT.get() == Fault::Dead(0)
}

/// From now on files are really synced. Otherwise they are not: the death of a machine is not
/// tested, and tens of thousands of syncs take minutes.
pub(in crate::spill) fn sync_for_real() {
    SYNCS.set(true);
}

/// Before files are synced; whether they are.
pub(in crate::spill) fn sync() -> io::Result<bool> {
    step().map(|()| SYNCS.get())
}

/// Before a change that is done or not done.
pub(in crate::spill) fn step() -> io::Result<()> {
    match FAULT.get() {
        Fault::Dead(0) => Err(dead()),
        Fault::Dead(left) => {
            FAULT.set(Fault::Dead(left - 1));
            Ok(())
        }
        Fault::None | Fault::Full(_) | Fault::Unreadable | Fault::Short => Ok(()),
    }
}

/// Before something is read.
pub(in crate::spill) fn read() -> io::Result<()> {
    match FAULT.get() {
        Fault::Unreadable => Err(rustix::io::Errno::IO.into()),
        Fault::Short => Err(rustix::io::Errno::NOMEM.into()),
        Fault::None | Fault::Full(_) | Fault::Dead(_) => Ok(()),
    }
}

/// Before something is written, which may succeed in part.
pub(in crate::spill) fn write(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
    let wanted = bytes.len() as u64;
    let (left, after, error): (u64, fn(u64) -> Fault, io::Error) = match FAULT.get() {
        Fault::None | Fault::Unreadable | Fault::Short => return Ok(()),
        Fault::Full(left) => (left, Fault::Full, ErrorKind::StorageFull.into()),
        Fault::Dead(left) => (left, Fault::Dead, dead()),
    };
    FAULT.set(after(left.saturating_sub(wanted)));
    if wanted <= left {
        return Ok(());
    }
    let part = usize::try_from(left).expect("less than there is to write");
    file.write_all_at(&bytes[..part], offset)?;
    Err(error)
}

fn dead() -> io::Error {
    io::Error::other("the process is dead")
}
