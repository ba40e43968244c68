//! Many architectures that are variants of one network.
//!
//! A network with *places of choice* has all options of each place; a link from an option is open
//! if that option is taken. An architecture is a row of small integers, the option taken at each
//! place. Whatever is known of the network is worked out once, in [`Variants`]: the order of its
//! tensors, their relations, and the geometry of its links. A thread then goes through rows
//! without building anything: it finds which tensors take part, and counts or scores those.
//!
//! `architectures` has [`Variants`], and `liveness` says which tensors take part. `counting` counts
//! paths with the engine of [`count`](crate::count()), and `scoring` runs the sweeps of
//! [`scores`](crate::scores). Both give each architecture the numbers of a network of its own.

mod architectures;
mod counting;
mod liveness;
mod scoring;

pub use architectures::{Part, UNUSED, Variants};
pub use counting::{VariantCounts, VariantTotals};
pub use scoring::{SIZE_NAMES, VariantScorer, VariantSizes};
