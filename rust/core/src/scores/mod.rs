//! Scores that rank architectures without data and without weights.
//!
//! At random weights every element of a tensor has some variance, shares some covariance with the
//! same channel at another position, and so do derivatives of the outputs. One sweep forwards and
//! one backwards follow these four numbers over the links that lie between an input and an output;
//! sums over the links with a kernel then say how many units, edges and multiplications a network
//! really has, and how evenly they matter.
//!
//! This is a coarser and much quicker signal than that of [`propagation`](crate::propagation):
//! windows are whole, strides take positions apart by their factor, and there is one number a
//! tensor. A [`Plan`] is compiled once, and [`Plan::score`] allocates nothing. Architectures that are
//! variants of one network are parts of one plan; see [`variants`](crate::variants).
//!
//! `plan` derives what a link joins, `attention` what becomes of queries, keys and values, `learnt`
//! what signal parameters have that are one of them, `operators` says what a link does to a signal,
//! and `sweep` runs them; `features` describes architectures to a predictor.
//!
//! ```
//! use unrolled_core::propagation::OwnFunctions;
//! use unrolled_core::scores::{Plan, Workspace};
//! use unrolled_core::{AxisRelation, LinkRole, Network, Operation, OperationKind, Relation, Role};
//!
//! // y = x @ w, with four inputs and two outputs.
//! let mut network = Network::new();
//! let x = network.add("x", &[4], Role::Input)?;
//! let w = network.add("w", &[4, 2], Role::Parameter { trainable: true })?;
//! let y = network.add_computed("y", &[2], Operation::new(OperationKind::Affine))?;
//! network.link(x, y, vec![AxisRelation::new(Relation::All, 0, 0)])?;
//! let reads = vec![AxisRelation::each(0), AxisRelation::new(Relation::Same, 1, 0)];
//! network.link_as(w, y, reads, LinkRole::Kernel)?;
//! network.mark_output(y)?;
//!
//! let plan = Plan::compile(&network, &OwnFunctions::new())?;
//! let scores = plan.score(&mut Workspace::new(&plan));
//! // Each of the two units has four independent inputs, of which it feels the square root.
//! assert!((scores.effective_units - 2.0 * 4f64.sqrt()).abs() < 1e-12);
//! # Ok::<(), unrolled_core::Error>(())
//! ```

mod attention;
mod features;
mod learnt;
mod operators;
mod plan;
mod sweep;

pub(crate) use features::FeatureDesk;
pub use features::{FEATURE_NAMES, Features};
pub(crate) use operators::Operator;
pub(crate) use plan::GatedPlan;
pub use plan::Plan;
pub use sweep::{SCORE_NAMES, Scores, Workspace};
