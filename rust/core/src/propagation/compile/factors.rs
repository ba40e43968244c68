//! What axes are made of. A reshape may put channels and positions into one axis, as the patches of
//! MobileViT do, and another takes them apart again.

/// A part of an axis; an axis is the product of its parts, in row-major order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Factor {
    pub(super) length: u64,
    pub(super) is_position: bool,
}

/// Of each axis of a tensor what it is made of, if that is not all of one kind; else nothing.
pub(super) type Mixtures = Vec<Vec<Factor>>;

/// Whether some factors are positions and others are not.
pub(super) fn is_mixed(factors: &[Factor]) -> bool {
    factors.iter().any(|one| one.is_position) && !factors.iter().all(|one| one.is_position)
}

/// The factors of some axes of a tensor, one after the other; those of length 1 are left out.
pub(super) fn factors_of(
    axes: &[usize],
    shape: &[u64],
    flags: &[bool],
    mixtures: &Mixtures,
) -> Vec<Factor> {
    let mut found = Vec::new();
    for &axis in axes.iter().filter(|&&axis| shape[axis] > 1) {
        match mixtures.get(axis) {
            Some(factors) if !factors.is_empty() => found.extend(factors),
            _ => {
                let is_position = flags.get(axis).copied().unwrap_or(false);
                found.push(Factor { length: shape[axis], is_position });
            }
        }
    }
    found
}

/// The same factors as parts of axes of other lengths; `None` where an axis ends within a factor
/// that it does not divide.
pub(super) fn regrouped(
    factors: &[Factor],
    lengths: impl Iterator<Item = u64>,
) -> Option<Mixtures> {
    let mut factors = factors.iter().copied();
    let mut rest: Option<Factor> = None;
    lengths
        .map(|length| {
            let (mut axis, mut left) = (Vec::new(), length);
            while left > 1 {
                let factor = rest.take().or_else(|| factors.next())?;
                if left % factor.length == 0 {
                    axis.push(factor);
                    left /= factor.length;
                } else if factor.length % left == 0 {
                    axis.push(Factor { length: left, ..factor });
                    rest = Some(Factor { length: factor.length / left, ..factor });
                    left = 1;
                } else {
                    return None;
                }
            }
            Some(axis)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn factor(length: u64, is_position: bool) -> Factor {
        Factor { length, is_position }
    }

    #[test]
    fn axes_that_were_put_together_come_apart_again() {
        let (channels, rows) = (factor(8, false), factor(6, true));
        let merged = regrouped(&[channels, rows], [16, 3].into_iter());
        assert_eq!(merged, Some(vec![vec![channels, factor(2, true)], vec![factor(3, true)]]));
        let all: Vec<Factor> = merged.unwrap_or_default().concat();
        let apart = regrouped(&all, [8, 1, 6].into_iter());
        assert_eq!(
            apart,
            Some(vec![vec![channels], vec![], vec![factor(2, true), factor(3, true)]])
        );
        assert_eq!(regrouped(&[channels, rows], [3, 16].into_iter()), None);
        assert!(is_mixed(&[channels, rows]) && !is_mixed(&[rows]) && !is_mixed(&[]));
    }
}
