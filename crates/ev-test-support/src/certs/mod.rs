//! Throw-away certificates: authorities, the Auth server's and the receiver's certificates,
//! clients, and identity files in Teleport's form.

mod authority;
mod folder;
mod identity;
mod ssh;

pub use authority::{Authority, KeyKind, Leaf, LeafRequest, Validity, load};
pub use folder::ClientFolder;
pub use identity::{Identity, IdentityBlock};
