//! What differs between systems.
//!
//! Frames name people, so they are kept only where a file can be made its owner's alone. Elsewhere
//! a spill directory is refused when it is opened, and nothing else here is ever reached.

#[cfg(unix)]
mod unix {
    use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
    use std::io;
    use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
    use std::path::Path;

    use rustix::fs::OFlags;

    const FILE_MODE: u32 = 0o600;
    const DIRECTORY_MODE: u32 = 0o700;

    /// Whether spilling is possible.
    pub(in crate::spill) fn supported() -> io::Result<()> {
        Ok(())
    }

    /// Files that are made are their owner's alone, and a name never leads to another file.
    pub(in crate::spill) fn for_owner(options: &mut OpenOptions) -> &mut OpenOptions {
        options.mode(FILE_MODE).custom_flags(OFlags::NOFOLLOW.bits().cast_signed())
    }

    /// Makes a directory that is its owner's alone.
    pub(in crate::spill) fn create_directory(path: &Path) -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path)
    }

    /// The permission bits.
    pub(in crate::spill) fn mode(metadata: &Metadata) -> u32 {
        metadata.permissions().mode() & 0o7777
    }

    /// The owner, if it is one who could put things there that we do not know of: neither we nor
    /// root, who can do so anyway.
    pub(in crate::spill) fn stranger(metadata: &Metadata) -> Option<u32> {
        other_than(metadata.uid(), rustix::process::geteuid().as_raw())
    }

    fn other_than(owner: u32, us: u32) -> Option<u32> {
        (owner != us && owner != 0).then_some(owner)
    }

    /// Whether an open file has no name any more: nobody will find again what is written to it.
    pub(in crate::spill) fn is_removed(file: &File) -> io::Result<bool> {
        Ok(file.metadata()?.nlink() == 0)
    }

    /// Takes rights away that a file of ours does not have.
    pub(in crate::spill) fn restrict(file: &File) -> io::Result<()> {
        if mode(&file.metadata()?) & 0o077 != 0 {
            file.set_permissions(Permissions::from_mode(FILE_MODE))?;
        }
        Ok(())
    }

    /// Writes all of it, at that place.
    pub(in crate::spill) fn write_all_at(file: &File, bytes: &[u8], offset: u64) -> io::Result<()> {
        file.write_all_at(bytes, offset)
    }

    /// Whether an error speaks of the file, and not of a process or a machine that is short of
    /// something: the medium, or the file system on it, is damaged.
    pub(in crate::spill) fn is_damage(error: &io::Error) -> bool {
        use rustix::io::Errno;
        let damage = [
            Errno::IO,
            Errno::BADMSG,
            Errno::ISDIR,
            Errno::NXIO,
            #[cfg(target_os = "linux")]
            Errno::UCLEAN,
        ];
        Errno::from_io_error(error).is_some_and(|errno| damage.contains(&errno))
    }

    /// Reads some of what stands at that place.
    pub(in crate::spill) fn read_at(
        file: &File,
        bytes: &mut [u8],
        offset: u64,
    ) -> io::Result<usize> {
        file.read_at(bytes, offset)
    }

    #[cfg(test)]
    mod tests {
        use super::other_than;

        #[test]
        fn a_directory_is_ours_or_of_root() {
            assert_eq!(other_than(1000, 1000), None);
            assert_eq!(other_than(0, 1000), None);
            assert_eq!(other_than(1001, 1000), Some(1001));
            assert_eq!(other_than(1001, 0), Some(1001));
        }
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use std::fs::{File, Metadata, OpenOptions};
    use std::io;
    use std::path::Path;

    fn unsupported<T>() -> io::Result<T> {
        let why = "spilling needs files that are their owner's alone, as on Unix";
        Err(io::Error::new(io::ErrorKind::Unsupported, why))
    }

    pub(in crate::spill) fn supported() -> io::Result<()> {
        unsupported()
    }

    pub(in crate::spill) fn for_owner(options: &mut OpenOptions) -> &mut OpenOptions {
        options
    }

    pub(in crate::spill) fn create_directory(_: &Path) -> io::Result<()> {
        unsupported()
    }

    pub(in crate::spill) fn mode(_: &Metadata) -> u32 {
        0
    }

    pub(in crate::spill) fn stranger(_: &Metadata) -> Option<u32> {
        None
    }

    pub(in crate::spill) fn is_removed(_: &File) -> io::Result<bool> {
        unsupported()
    }

    pub(in crate::spill) fn restrict(_: &File) -> io::Result<()> {
        unsupported()
    }

    pub(in crate::spill) fn is_damage(_: &io::Error) -> bool {
        false
    }

    pub(in crate::spill) fn write_all_at(_: &File, _: &[u8], _: u64) -> io::Result<()> {
        unsupported()
    }

    pub(in crate::spill) fn read_at(_: &File, _: &mut [u8], _: u64) -> io::Result<usize> {
        unsupported()
    }
}

#[cfg(not(unix))]
pub(super) use elsewhere::{
    create_directory, for_owner, is_damage, is_removed, mode, read_at, restrict, stranger,
    supported, write_all_at,
};
#[cfg(unix)]
pub(super) use unix::{
    create_directory, for_owner, is_damage, is_removed, mode, read_at, restrict, stranger,
    supported, write_all_at,
};
