//! Relations between tensors whose rows became tokens and slots.

use crate::network::{AxisRelation, Link, Relation};

/// The axes of a tensor, as it was and as it becomes.
#[derive(Debug, Clone, Default)]
pub(super) struct Side {
    /// Axes as it was, which together stand for rows, or for experts.
    pub(super) rows: Vec<usize>,
    /// Their lengths, and those of all other axes.
    pub(super) was: Vec<u64>,
    /// The shape that it becomes: tokens, slots, and then all other axes.
    pub(super) shape: Vec<u64>,
    pub(super) tokens: Option<usize>,
    pub(super) slots: Option<usize>,
}

impl Side {
    /// A tensor that stays as it is.
    pub(super) fn plain(shape: &[u64]) -> Self {
        Self { was: shape.to_vec(), shape: shape.to_vec(), ..Self::default() }
    }

    /// A tensor whose rows become axes of these lengths, of which tokens may be left out.
    pub(super) fn of_rows(shape: &[u64], rows: &[usize], tokens: Option<u64>, slots: u64) -> Self {
        let others = (0..shape.len()).filter(|axis| !rows.contains(axis)).map(|axis| shape[axis]);
        let first = usize::from(tokens.is_some());
        Self {
            rows: rows.to_vec(),
            was: shape.to_vec(),
            shape: tokens.into_iter().chain([slots]).chain(others).collect(),
            tokens: tokens.map(|_| 0),
            slots: Some(first),
        }
    }

    /// Where an axis is that is none of rows.
    pub(super) fn place(&self, axis: usize) -> usize {
        let before = (0..axis).filter(|other| !self.rows.contains(other)).count();
        before + usize::from(self.tokens.is_some()) + usize::from(self.slots.is_some())
    }

    /// The product of the lengths of some axes.
    pub(super) fn size(&self, axes: &[usize]) -> u64 {
        axes.iter().map(|&axis| self.was[axis]).product()
    }

    fn is_row(&self, axis: usize) -> bool {
        self.rows.contains(&axis)
    }
}

/// How the rows of two tensors meet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meeting {
    /// They are equal, one by one.
    Same,
    /// Those of one are those of the other in another order, or one-hot rows say which.
    Chosen,
}

/// The relations of a link between what two tensors become; `None` if rows do not stay rows.
pub(super) fn related(
    link: &Link,
    from: &Side,
    to: &Side,
    meeting: Meeting,
) -> Option<Vec<AxisRelation>> {
    let mut found = Vec::new();
    for part in link.relations.iter() {
        let touches = part.source_axes.iter().any(|&axis| from.is_row(axis))
            || part.target_axes.iter().any(|&axis| to.is_row(axis));
        if !touches {
            found.push(AxisRelation {
                relation: part.relation.clone(),
                source_axes: part.source_axes.iter().map(|&axis| from.place(axis)).collect(),
                target_axes: part.target_axes.iter().map(|&axis| to.place(axis)).collect(),
            });
            continue;
        }
        let (read, made) = (from.size(&part.source_axes), to.size(&part.target_axes));
        let keeps = matches!(part.relation, Relation::Same | Relation::Reshape);
        let is_repeated = from.rows.is_empty() && read == 1;
        if meeting == Meeting::Same && !keeps && !is_repeated && (read > 1 || made > 1) {
            return None;
        }
        for &axis in part.source_axes.iter().filter(|&&axis| !from.is_row(axis)) {
            if from.was[axis] > 1 {
                return None;
            }
            found.push(AxisRelation::each(from.place(axis)));
        }
        for &axis in part.target_axes.iter().filter(|&&axis| !to.is_row(axis)) {
            if to.was[axis] > 1 {
                return None;
            }
            found.push(AxisRelation::sum(to.place(axis)));
        }
    }
    for (one, other) in [(from.tokens, to.tokens), (from.slots, to.slots)] {
        match (one, other) {
            (Some(one), Some(other)) => {
                found.push(AxisRelation::new(Relation::Same, one, other));
            }
            (None, Some(other)) => found.push(AxisRelation::sum(other)),
            (Some(one), None) => found.push(AxisRelation::each(one)),
            (None, None) => {}
        }
    }
    Some(found)
}

/// The relations of a link that adds up the slots of every token; `None` if it does anything else.
pub(super) fn added_up(link: &Link, from: &Side, to: &Side) -> Option<Vec<AxisRelation>> {
    let (&slot, of_tokens) = from.rows.split_last()?;
    let (at, slots) = (from.tokens?, from.slots?);
    if from.was[slot] != from.shape[slots] || from.size(of_tokens) != from.shape[at] {
        return None;
    }
    let (mut found, mut tokens) = (Vec::new(), Vec::new());
    for part in link.relations.iter() {
        if part.source_axes.contains(&slot) {
            let is_sum = part.source_axes.len() == 1
                && matches!(part.relation, Relation::Each | Relation::All)
                && to.size(&part.target_axes) == 1;
            if !is_sum {
                return None;
            }
            found.extend(part.target_axes.iter().map(|&axis| AxisRelation::sum(to.place(axis))));
        } else if part.source_axes.iter().any(|&axis| from.is_row(axis)) {
            let stays = matches!(part.relation, Relation::Same | Relation::Reshape)
                && part.source_axes.iter().all(|&axis| from.is_row(axis));
            if !stays && from.size(&part.source_axes) > 1 {
                return None;
            }
            tokens.push((part.source_axes.clone(), part.target_axes.clone()));
        } else {
            found.push(AxisRelation {
                relation: part.relation.clone(),
                source_axes: part.source_axes.iter().map(|&axis| from.place(axis)).collect(),
                target_axes: part.target_axes.iter().map(|&axis| to.place(axis)).collect(),
            });
        }
    }
    tokens.sort();
    let targets: Vec<usize> =
        tokens.into_iter().flat_map(|(_, targets)| targets).map(|axis| to.place(axis)).collect();
    if !targets.is_sorted() {
        return None;
    }
    found.push(AxisRelation::each(slots));
    found.push(joined(vec![at], targets));
    Some(found)
}

/// Axes whose elements are the same in row-major order.
pub(super) fn joined(sources: Vec<usize>, targets: Vec<usize>) -> AxisRelation {
    match (&sources[..], &targets[..]) {
        (&[source], &[target]) => AxisRelation::new(Relation::Same, source, target),
        (&[source], []) => AxisRelation::each(source),
        (&[], &[target]) => AxisRelation::sum(target),
        _ => AxisRelation::reshape(sources, targets),
    }
}
