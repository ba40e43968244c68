//! `Network`: describes a network to the core, and has it counted.

pub(crate) mod counts;
pub(crate) mod declaration;
pub(crate) mod operation;
pub(crate) mod relation;

use std::sync::Arc;

use pyo3::prelude::*;
use unrolled_core::{
    CountOptions, Network as CoreNetwork, Role, TensorId, count, extreme_lengths, length_sums,
    path_moments, propagation,
};

use crate::enter::enter;
use crate::error::CoreError;
use crate::graph::{Graph, unroll};
use crate::natural::{no_memory, whole};
use crate::network::counts::Counts;
use crate::network::declaration::Declaration;
use crate::network::operation::{Operation, role_of};
use crate::network::relation::{Relation, copies_of};

type TensorRow = (String, Vec<u64>, &'static str, bool);
type LinkRow = (usize, usize, Vec<Relation>);

impl Network {
    /// The tensors of a role, in the order of declaration.
    fn of_role(&self, is_wanted: impl Fn(Role) -> bool) -> Vec<usize> {
        let tensors = self.0.tensors().iter().enumerate();
        tensors.filter(|(_, tensor)| is_wanted(tensor.role)).map(|(id, _)| id).collect()
    }
}

/// The number of elements of some tensors.
fn elements<'t>(tensors: impl Iterator<Item = &'t unrolled_core::Tensor>) -> u128 {
    tensors.map(|tensor| u128::from(tensor.elements())).sum()
}

/// A tensor as Python sees it.
fn row_of(tensor: &unrolled_core::Tensor) -> TensorRow {
    let (role, trainable) = match tensor.role {
        Role::Input => ("input", false),
        Role::Parameter { trainable } => ("parameter", trainable),
        Role::Activation => ("activation", false),
    };
    (tensor.name.clone(), tensor.shape.clone(), role, trainable)
}

/// Tensors and links; tensors are identified by their position.
#[pyclass(module = "unrolled._core", name = "Network")]
#[derive(Default)]
pub(crate) struct Network(pub(crate) CoreNetwork);

#[pymethods]
impl Network {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn add_input(&mut self, name: &str, shape: Vec<u64>) -> Result<usize, CoreError> {
        Ok(self.0.add(name, &shape, Role::Input)?.0)
    }

    #[pyo3(signature = (name, shape, trainable=true))]
    fn add_parameter(
        &mut self,
        name: &str,
        shape: Vec<u64>,
        trainable: bool,
    ) -> Result<usize, CoreError> {
        Ok(self.0.add(name, &shape, Role::Parameter { trainable })?.0)
    }

    #[pyo3(signature = (name, shape, operation=None))]
    fn add_activation(
        &mut self,
        name: &str,
        shape: Vec<u64>,
        operation: Option<&Operation>,
    ) -> Result<usize, CoreError> {
        let operation = operation.map_or_else(Default::default, |given| given.0.clone());
        Ok(self.0.add_computed(name, &shape, operation)?.0)
    }

    fn set_operation(&mut self, id: usize, operation: &Operation) -> Result<(), CoreError> {
        Ok(self.0.set_operation(TensorId(id), operation.0.clone())?)
    }

    fn operation(&self, id: usize) -> Result<Operation, CoreError> {
        Ok(Operation(self.0.operation(TensorId(id))?.clone()))
    }

    #[pyo3(signature = (source, target, relations, role="data"))]
    fn link(
        &mut self,
        source: usize,
        target: usize,
        relations: Vec<PyRef<'_, Relation>>,
        role: &str,
    ) -> PyResult<()> {
        let linked = copies_of(&relations)?;
        let added = self.0.link_as(TensorId(source), TensorId(target), linked, role_of(role)?);
        Ok(added.map_err(CoreError::from)?)
    }

    /// Declares the tensor that a layer computes, the parameters that it needs and that are not
    /// given, and its links: all of them or, if something does not fit, nothing. Returns the
    /// identifier of the tensor, which comes after those of its parameters.
    #[pyo3(signature = (name, layer, sources, given=vec![]))]
    fn add_layer(
        &mut self,
        name: &str,
        layer: &Declaration,
        sources: Vec<usize>,
        given: Vec<Option<usize>>,
    ) -> Result<usize, CoreError> {
        let sources: Vec<TensorId> = sources.into_iter().map(TensorId).collect();
        let given: Vec<Option<TensorId>> = given.into_iter().map(|one| one.map(TensorId)).collect();
        Ok(self.0.add_layer(name, &layer.0, &sources, &given)?.0)
    }

    fn mark_output(&mut self, id: usize) -> Result<(), CoreError> {
        Ok(self.0.mark_output(TensorId(id))?)
    }

    /// How many tensors and links there are, for `truncate`.
    fn sizes(&self) -> (usize, usize) {
        (self.0.tensors().len(), self.0.links().len())
    }

    fn truncate(&mut self, tensors: usize, links: usize) {
        self.0.truncate(tensors, links);
    }

    fn tensor(&self, id: usize) -> Result<TensorRow, CoreError> {
        Ok(row_of(self.0.tensor(TensorId(id))?))
    }

    fn find(&self, name: &str) -> Option<usize> {
        self.0.find(name).map(|id| id.0)
    }

    #[getter]
    fn tensors(&self) -> Vec<TensorRow> {
        self.0.tensors().iter().map(row_of).collect()
    }

    #[getter]
    fn links(&self) -> PyResult<Vec<LinkRow>> {
        let row = |link: &unrolled_core::Link| {
            let copies = link.relations.iter().map(|one| one.try_clone().map(Relation));
            let relations = copies.collect::<Result<_, _>>().map_err(no_memory)?;
            Ok((link.source.0, link.target.0, relations))
        };
        self.0.links().iter().map(row).collect()
    }

    #[getter]
    fn ends(&self) -> Vec<(usize, usize)> {
        self.0.links().iter().map(|link| (link.source.0, link.target.0)).collect()
    }

    #[getter]
    fn roles(&self) -> Vec<&'static str> {
        self.0.links().iter().map(|link| link.role.name()).collect()
    }

    #[getter]
    fn operations(&self) -> Vec<Operation> {
        let operations =
            (0..self.0.tensors().len()).filter_map(|id| self.0.operation(TensorId(id)).ok());
        operations.cloned().map(Operation).collect()
    }

    fn followed_functions(&self) -> Result<Vec<String>, CoreError> {
        Ok(propagation::followed_functions(&self.0)?)
    }

    #[getter]
    fn inputs(&self) -> Vec<usize> {
        self.of_role(|role| role == Role::Input)
    }

    #[getter]
    fn parameters(&self) -> Vec<usize> {
        self.of_role(|role| matches!(role, Role::Parameter { .. }))
    }

    #[getter]
    fn num_inputs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let inputs = self.0.tensors().iter().filter(|tensor| tensor.role == Role::Input);
        whole(py, elements(inputs))
    }

    #[getter]
    fn num_outputs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let outputs = self.0.outputs().iter().filter_map(|id| self.0.tensors().get(id.0));
        whole(py, elements(outputs))
    }

    #[getter]
    fn outputs(&self) -> Vec<usize> {
        self.0.outputs().iter().map(|id| id.0).collect()
    }

    #[pyo3(signature = (memory_limit=None, progress=None))]
    fn unroll(
        &self,
        py: Python<'_>,
        memory_limit: Option<u64>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<(Graph, Vec<(usize, u64)>)> {
        unroll(py, &self.0, memory_limit, progress)
    }

    #[pyo3(signature = (exact=true, *, memory_limit=None, trainable_only=false, progress=None))]
    fn count(
        &self,
        py: Python<'_>,
        exact: bool,
        memory_limit: Option<u64>,
        trainable_only: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Counts> {
        let options = CountOptions { exact, trainable_only, memory_limit };
        let counts = enter(py, progress, |monitor| count(&self.0, &options, monitor))?;
        Ok(Counts { counts: Arc::new(counts), exact })
    }

    #[pyo3(signature = (exact=true, *, memory_limit=None, trainable_only=false, progress=None))]
    fn length_sums(
        &self,
        py: Python<'_>,
        exact: bool,
        memory_limit: Option<u64>,
        trainable_only: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Counts> {
        let options = CountOptions { exact, trainable_only, memory_limit };
        let counts = enter(py, progress, |monitor| length_sums(&self.0, &options, monitor))?;
        Ok(Counts { counts: Arc::new(counts), exact })
    }

    #[pyo3(signature = (grades, exact=true, *, memory_limit=None, progress=None))]
    fn path_moments(
        &self,
        py: Python<'_>,
        grades: Vec<u32>,
        exact: bool,
        memory_limit: Option<u64>,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Counts> {
        let options = CountOptions { exact, trainable_only: false, memory_limit };
        let counts =
            enter(py, progress, |monitor| path_moments(&self.0, &grades, &options, monitor))?;
        Ok(Counts { counts: Arc::new(counts), exact })
    }

    #[pyo3(signature = (longest, *, trainable_only=false, progress=None))]
    fn extreme_lengths(
        &self,
        py: Python<'_>,
        longest: bool,
        trainable_only: bool,
        progress: Option<Py<PyAny>>,
    ) -> PyResult<Counts> {
        let options = CountOptions { trainable_only, ..CountOptions::default() };
        let counts =
            enter(py, progress, |monitor| extreme_lengths(&self.0, longest, &options, monitor))?;
        Ok(Counts { counts: Arc::new(counts), exact: false })
    }
}
