//! Cells: which elements of each tensor are told from each other, and how links join them.

use std::collections::HashMap;

use super::compiler::Compiler;
use super::survey::joins_positions;
use crate::error::{Error, Result};
use crate::network::{AxisRelation, Link, Network, OperationKind, Relation};
use crate::propagation::cell_map::{CellMap, Weigh};
use crate::propagation::cells::{Grid, Join, refine};
use crate::propagation::geometry::{LARGEST_AXIS, lengths, weighted_sums};
use crate::propagation::normal::largest;
use crate::propagation::program::{LinkMap, Node, Operator, Resolution, Rule};

/// Cells of all tensors together.
const MOST_CELLS: usize = 1 << 25;

/// As many take some tenths of a second.
const AFFORDABLE_CELLS: usize = 1 << 18;

/// So many links may be looked at to find out how many cells there are.
const AFFORDABLE_CUTS: usize = 1 << 18;

impl Compiler<'_> {
    /// Gives nodes and links the cells that borders and unequal parts make.
    pub(super) fn divide_into_cells(&mut self, resolution: Resolution) -> Result<()> {
        let (choices, most): (&[Resolution], usize) = match resolution {
            Resolution::Mean => return Ok(()),
            Resolution::Affordable => {
                (&[Resolution::Exact, Resolution::Channels], AFFORDABLE_CELLS)
            }
            Resolution::Channels => (&[Resolution::Channels], MOST_CELLS),
            Resolution::Exact => (&[Resolution::Exact], MOST_CELLS),
        };
        for &choice in choices {
            if self.try_cells(choice, most)? {
                self.program.resolution = choice;
                return Ok(());
            }
        }
        if resolution == Resolution::Affordable { Ok(()) } else { Err(Error::MapTooLarge) }
    }

    /// Cells of this resolution, unless they are more than `most`.
    fn try_cells(&mut self, resolution: Resolution, most: usize) -> Result<bool> {
        let nodes = &self.program.nodes;
        let shape = |node: usize| self.shape(nodes[node].tensor);
        if (0..nodes.len()).any(|node| shape(node).iter().any(|&n| n > LARGEST_AXIS)) {
            return Ok(false);
        }
        let even = self.even_relations(resolution);
        let mut joins = Vec::new();
        for (target, node) in nodes.iter().enumerate() {
            for number in node.links.clone() {
                let link = &self.program.links[number];
                let join = match link.operator {
                    Operator::Weighted(_) | Operator::Fixed(_) | Operator::Window(_) => {
                        let operation = self.network.operation(node.tensor)?;
                        Join::Link(self.originals[number], &even[number], operation)
                    }
                    Operator::Same if shape(link.source) == shape(target) => Join::Same,
                    _ => Join::Apart,
                };
                joins.push((link.source, target, join));
            }
        }
        let mut grids: Vec<Grid> = (0..nodes.len()).map(|node| Grid::whole(shape(node))).collect();
        let rounds =
            if most == MOST_CELLS { usize::MAX } else { AFFORDABLE_CUTS / joins.len().max(1) };
        if !refine(&mut grids, &joins, most, rounds) {
            return Ok(false);
        }
        let mut cells = 0usize;
        for (node, grid) in self.program.nodes.iter_mut().zip(&grids) {
            let own = grid.cells().unwrap_or(usize::MAX);
            node.cells = cells..cells + own;
            cells += own;
            if own > 1 {
                node.shares = grid.shares();
                let together = normalised_axes(self.network, node)?;
                node.groups = grid.groups(|axis| together.contains(&axis)).0;
            }
        }
        self.program.cells = cells;
        let joined: Vec<_> = joins
            .iter()
            .enumerate()
            .filter_map(|(number, &(source, target, join))| match join {
                Join::Link(link, ..) => Some((number, source, target, link)),
                _ => None,
            })
            .collect();
        for (number, source, target, link) in joined {
            let nodes = &self.program.nodes;
            if nodes[source].cells.len() > 1 || nodes[target].cells.len() > 1 {
                let map = self.link_map(number, link, &even[number], (source, target), &grids)?;
                self.program.links[number].map = Some(map);
            }
        }
        Ok(true)
    }

    /// Which relations of each link join positions that are not told from each other.
    fn even_relations(&self, resolution: Resolution) -> Vec<Vec<bool>> {
        let even = |link: &&Link| {
            let part_is_even = |part: &AxisRelation| {
                resolution == Resolution::Channels && self.joins_positions(link, part)
            };
            link.relations.iter().map(part_is_even).collect()
        };
        self.originals.iter().map(even).collect()
    }

    fn joins_positions(&self, link: &Link, part: &AxisRelation) -> bool {
        joins_positions(
            part,
            (self.shape(link.source), self.shape(link.target)),
            (&self.positions[link.source.0], &self.positions[link.target.0]),
        )
    }

    fn link_map(
        &self,
        number: usize,
        link: &Link,
        even: &[bool],
        (source, target): (usize, usize),
        grids: &[Grid],
    ) -> Result<LinkMap> {
        let operation = self.network.operation(link.target)?;
        let is_weighted = !operation.weights.is_empty();
        let mut means = [Vec::with_capacity(even.len()), Vec::with_capacity(even.len())];
        for (part, &is_even) in link.relations.iter().zip(even) {
            let ends = lengths(part, self.shape(link.source), self.shape(link.target));
            let sums = match operation.taps_of(part) {
                Some(taps) => weighted_sums(&part.relation, ends, taps),
                None => Some(self.sums_of(link, part, false)?),
            };
            let sums = sums.ok_or_else(|| self.too_long(link))?;
            means[0].push(is_even.then_some(sums.total));
            means[1].push(is_even.then_some(sums.single));
        }
        let new_map = |squares: bool| {
            let of_positions = |part: &AxisRelation| self.joins_positions(link, part);
            let weigh = Weigh { operation, squares };
            let means = &means[usize::from(squares && is_weighted)];
            CellMap::new(link, &grids[source], &grids[target], means, of_positions, weigh)
        };
        let cells = new_map(false);
        let is_fixed = matches!(self.program.links[number].operator, Operator::Fixed(_));
        let copied = link.relations.iter().find(|part| match &part.relation {
            Relation::Sparse(rows) => rows.multiplicities.iter().any(|&times| times > 1),
            _ => false,
        });
        let copies = copied
            .filter(|_| is_fixed)
            .map(|part| (new_map(true), self.joins_positions(link, part)));
        let squares = is_weighted.then(|| new_map(true));
        let reads = cells.reads(false);
        let mut known: HashMap<u64, (f64, f64)> = HashMap::new();
        let largest = match &self.program.links[number].operator {
            Operator::Window(window) if even.contains(&true) => vec![window.largest; reads.len()],
            Operator::Window(_) => {
                let of_window = |n: &f64| *known.entry(n.to_bits()).or_insert_with(|| largest(*n));
                reads.iter().map(of_window).collect()
            }
            _ => Vec::new(),
        };
        // With weights of their own, as many elements as give such a sum of squares.
        let alike = |sums: Vec<f64>, squares: Option<Vec<f64>>| match squares {
            Some(squares) => {
                let ratio = |(sum, square): (&f64, f64)| {
                    if square > 0.0 { sum * sum / square } else { 1.0 }
                };
                sums.iter().zip(squares).map(ratio).collect()
            }
            None => sums,
        };
        let along = squares.as_ref().map(|map| map.reads(true));
        let along_back = squares.as_ref().map(|map| map.read_positions());
        Ok(LinkMap {
            largest,
            reads_of_positions: alike(cells.reads(true), along),
            read_along_positions: alike(cells.read_positions(), along_back),
            squares,
            target_shares: self.program.nodes[target].shares.clone(),
            reads,
            cells,
            copies,
        })
    }
}

/// The axes along which a node is normalised with the same mean and variance.
fn normalised_axes(network: &Network, node: &Node) -> Result<Vec<usize>> {
    let operation = network.operation(node.tensor)?;
    let all = 0..network.tensor(node.tensor)?.shape.len();
    Ok(match &node.rule {
        Rule::BatchNorm { .. } => all.filter(|axis| !operation.axes.contains(axis)).collect(),
        Rule::GroupNorm { channels, .. } if operation.kind == OperationKind::GroupNorm => {
            let apart = *channels == 1.0;
            all.filter(|axis| !(apart && operation.axes.contains(axis))).collect()
        }
        _ => operation.axes.clone(),
    })
}
