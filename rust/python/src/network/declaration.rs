//! `Declaration`: all that a layer tells the core, but for its name and what it reads.

use pyo3::prelude::*;
use unrolled_core::{Declaration as CoreDeclaration, Weight};

use crate::network::operation::{Operation, role_of};
use crate::network::relation::{Relation, copies_of};

/// What layers that are alike have in common: the tensor that they compute, how each tensor that
/// they read is linked to it, and the parameters that they need.
#[pyclass(frozen, module = "unrolled._core", name = "Declaration")]
pub(crate) struct Declaration(pub(crate) CoreDeclaration);

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
            let relations = copies_of(&relations)?.into();
            Ok(Weight { role: role_of(&role)?, shape, relations, trainable })
        };
        let data = data.iter().map(|relations| Ok(copies_of(relations)?.into()));
        let data = data.collect::<PyResult<_>>()?;
        let weights = weights.into_iter().map(weight).collect::<PyResult<_>>()?;
        Ok(Self(CoreDeclaration::new(shape, operation.0.clone(), data, weights)))
    }
}
