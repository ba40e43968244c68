//! What counting needs of the values that it adds up along paths: a semiring.
//!
//! A path is worth the product of its links, an element the sum over its paths. Numbers of paths
//! are counted in the semiring of natural numbers; their greatest or least lengths in a tropical
//! one, whose sum is the maximum. How the elements of a semiring are written in digits, and how
//! carries move between these, is in `positional.rs`.

/// A commutative semiring whose elements are held in the lanes of vector registers.
///
/// Sums and products may be taken of single digits, whose carries are settled later; the laws of a
/// semiring then hold for whole numbers only.
pub(crate) trait Semiring: Copy + 'static {
    /// An element, or one digit of it. Larger elements compare as greater.
    type Lane: Copy + Default + PartialEq + PartialOrd + Send + Sync + 'static;

    /// The sum of no paths.
    const ZERO: Self::Lane;

    /// The path without links.
    const ONE: Self::Lane;

    /// The sum of two elements.
    fn add(a: Self::Lane, b: Self::Lane) -> Self::Lane;

    /// The sum of `weight` elements that are all equal to `a`: what `weight` parallel edges carry.
    fn weigh(a: Self::Lane, weight: u64) -> Self::Lane;

    /// Whether a link is worth anything but [`Semiring::ONE`].
    const LINKS_HAVE_LENGTH: bool = false;

    /// The product of an element and one link.
    fn through_link(a: Self::Lane) -> Self::Lane {
        a
    }
}
