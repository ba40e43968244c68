//! `Declaration`: all that a layer tells the core, but for its name and what it reads.

use pyo3::prelude::*;
use unrolled_core::{AxisRelation, LinkRole, Operation as CoreOperation};

use crate::network::operation::{Operation, role_of};
use crate::network::relation::{Relation, copies_of};

/// What layers that are alike have in common: the tensor that they compute, how each tensor that
/// they read is linked to it, and the parameters that they need.
#[pyclass(frozen, module = "unrolled._core", name = "Declaration")]
pub(crate) struct Declaration {
    pub(crate) shape: Vec<u64>,
    pub(crate) operation: CoreOperation,
    pub(crate) data: Vec<Vec<AxisRelation>>,
    pub(crate) weights: Vec<Weight>,
}

/// A parameter that layers need, and how they read it.
pub(crate) struct Weight {
    pub(crate) role: LinkRole,
    pub(crate) shape: Vec<u64>,
    pub(crate) relations: Vec<AxisRelation>,
    pub(crate) trainable: bool,
}

/// A parameter as Python describes it: role, shape, relations, and whether training changes it.
type WeightRow<'py> = (String, Vec<u64>, Vec<PyRef<'py, Relation>>, bool);

#[pymethods]
impl Declaration {
    #[new]
    fn new(
        shape: Vec<u64>,
        operation: &Operation,
        data: Vec<Vec<PyRef<'_, Relation>>>,
        weights: Vec<WeightRow<'_>>,
    ) -> PyResult<Self> {
        let weight = |(role, shape, relations, trainable): WeightRow<'_>| {
            Ok(Weight {
                role: role_of(&role)?,
                shape,
                relations: copies_of(&relations)?,
                trainable,
            })
        };
        Ok(Self {
            shape,
            operation: operation.0.clone(),
            data: data.iter().map(|relations| copies_of(relations)).collect::<PyResult<_>>()?,
            weights: weights.into_iter().map(weight).collect::<PyResult<_>>()?,
        })
    }
}
