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
//! tensor. A [`Plan`] is compiled once, with gates that open and close links, so that a whole space
//! of architectures is one plan; [`Plan::score`] allocates nothing.
//!
//! `plan` derives what a link joins, `operators` says what a link does to a signal, and
//! `sweep` runs them.

mod operators;
mod plan;
mod sweep;

pub(crate) use operators::Operator;
pub use plan::Plan;
pub(crate) use plan::PlanLink;
pub use sweep::{SCORE_NAMES, Scores, Workspace};
