//! `Graph`: a graph whose successor lists are in NumPy arrays or in a file.
//!
//! How arrays are lent to the core is in `arrays.rs`, what was counted in `counts.rs`.

pub(crate) mod arrays;
pub(crate) mod counts;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use numpy::{PyArray1, PyReadonlyArray1};
use pyo3::prelude::*;
use unrolled_core::{
    FilePlace, Graph as CoreGraph, GraphCountOptions, Indices, Kinds, Lists, NodeOrder, Towards,
    from_edges,
};

use crate::enter::enter;
use crate::error::CoreError;
use crate::graph::arrays::{
    Arrays, GraphArrays, IndexArray, Progress, RoleArrays, SortedLists, reading, slice,
};
use crate::graph::counts::GraphCounts;
use crate::natural::{array, listed, no_memory};

/// A directed acyclic graph. Arrays are shared with Python, not copied.
#[pyclass(frozen, module = "unrolled._core", name = "Graph")]
pub(crate) struct Graph(Arc<GraphArrays>);

#[pymethods]
impl Graph {
    #[staticmethod]
    #[pyo3(signature = (sources, targets, multiplicity, num_nodes, roles, threads=0, progress=None))]
    #[expect(clippy::too_many_arguments, reason = "the arguments of a Python function")]
    fn from_edges(
        py: Python<'_>,
        sources: IndexArray,
        targets: IndexArray,
        multiplicity: Option<Py<PyArray1<u64>>>,
        num_nodes: Option<u64>,
        roles: RoleArrays<'_>,
        threads: usize,
        progress: Progress,
    ) -> PyResult<Self> {
        let (ends, heads) = (sources.read(py)?, targets.read(py)?);
        let times = multiplicity.as_ref().map(|array| reading(py, array)).transpose()?;
        let shared = times.as_ref().map(slice).transpose()?.map(Cow::Borrowed);
        let (ends, heads) = (ends.indices()?, heads.indices()?);
        let reporter = progress.as_ref().map(|progress| progress.clone_ref(py));
        let (csr, order) = enter(py, reporter, |monitor| {
            from_edges(&ends, heads, shared, num_nodes, threads, monitor)
        })?;
        let (lists, roles) = (Lists::Memory(csr.borrowed()), roles.roles()?);
        let frame = enter(py, progress, |monitor| {
            let graph = CoreGraph::new(lists, roles, order, threads, monitor)?;
            Ok(Arc::clone(graph.frame()))
        })?;
        let (offsets, heads, shared) = csr.into_parts();
        let arrays = Arrays::Memory {
            offsets: IndexArray::new(py, offsets),
            targets: match heads {
                Indices::Narrow(Cow::Borrowed(_)) | Indices::Wide(Cow::Borrowed(_)) => {
                    targets.clone_ref(py)
                }
                heads => IndexArray::new(py, heads),
            },
            multiplicity: match shared {
                Some(Cow::Owned(times)) => Some(PyArray1::from_vec(py, times).unbind()),
                _ => multiplicity.as_ref().map(|array| array.clone_ref(py)),
            },
        };
        Ok(Self(Arc::new(GraphArrays { arrays, frame })))
    }

    #[staticmethod]
    #[pyo3(signature = (indptr, indices, multiplicity, roles, threads=0, progress=None))]
    fn from_csr(
        py: Python<'_>,
        indptr: IndexArray,
        indices: IndexArray,
        multiplicity: Option<Py<PyArray1<u64>>>,
        roles: RoleArrays<'_>,
        threads: usize,
        progress: Progress,
    ) -> PyResult<Self> {
        let arrays = Arrays::Memory { offsets: indptr, targets: indices, multiplicity };
        let order = NodeOrder::default();
        Ok(Self(Arc::new(arrays.into_graph(py, roles.roles()?, order, threads, progress)?)))
    }

    #[staticmethod]
    #[pyo3(signature = (path, indptr, num_edges, indices_at, wide, multiplicity_at, rank, roles, progress=None))]
    #[expect(clippy::too_many_arguments, reason = "the arguments of a Python function")]
    fn from_file(
        py: Python<'_>,
        path: PathBuf,
        indptr: IndexArray,
        num_edges: usize,
        indices_at: u64,
        wide: bool,
        multiplicity_at: Option<u64>,
        rank: Option<PyReadonlyArray1<'_, u32>>,
        roles: RoleArrays<'_>,
        progress: Progress,
    ) -> PyResult<Self> {
        let place = FilePlace::open(&path, indices_at, wide, multiplicity_at);
        let place = place.map_err(CoreError::from)?;
        let arrays = Arrays::File { place, offsets: indptr, edges: num_edges };
        let order = match rank {
            Some(rank) => NodeOrder::ranked(listed(rank.as_array().iter().copied())?),
            None => NodeOrder::default(),
        };
        Ok(Self(Arc::new(arrays.into_graph(py, roles.roles()?, order, 1, progress)?)))
    }

    #[getter]
    fn num_nodes(&self, py: Python<'_>) -> PyResult<usize> {
        self.0.with(py, |graph| Ok(graph.nodes()))
    }

    #[getter]
    fn num_edges(&self, py: Python<'_>) -> PyResult<usize> {
        self.0.with(py, |graph| Ok(graph.edges()))
    }

    #[getter]
    fn indptr(&self, py: Python<'_>) -> Py<PyAny> {
        match &self.0.arrays {
            Arrays::Memory { offsets, .. } | Arrays::File { offsets, .. } => offsets.shared(py),
        }
    }

    #[getter]
    fn indices(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        match &self.0.arrays {
            Arrays::Memory { targets, .. } => Some(targets.shared(py)),
            Arrays::File { .. } => None,
        }
    }

    #[getter]
    fn multiplicity(&self, py: Python<'_>) -> Option<Py<PyArray1<u64>>> {
        match &self.0.arrays {
            Arrays::Memory { multiplicity, .. } => {
                multiplicity.as_ref().map(|array| array.clone_ref(py))
            }
            Arrays::File { .. } => None,
        }
    }

    #[getter]
    fn outputs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<u32>>> {
        self.0
            .with(py, |graph| Ok(PyArray1::from_vec(py, graph.outputs().map_err(CoreError::from)?)))
    }

    fn inputs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<u32>>> {
        self.0.with(py, |graph| {
            Ok(PyArray1::from_vec(py, enter(py, None, |monitor| graph.inputs(monitor))?))
        })
    }

    fn parameters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        self.0.with(py, |graph| {
            let labels = enter(py, None, |monitor| graph.parameter_labels(monitor))?;
            Ok(PyArray1::from_vec(py, labels))
        })
    }

    /// The lists in topological order; `None` if they are in a file.
    fn sorted_lists(&self, py: Python<'_>) -> PyResult<Option<SortedLists>> {
        let own = match (&self.0.arrays, self.0.frame.sorted()) {
            (Arrays::File { .. }, _) => return Ok(None),
            (lists, None) => lists,
            (_, Some(csr)) => &Arrays::new(py, csr.try_clone().map_err(no_memory)?),
        };
        Ok(match own {
            Arrays::Memory { offsets, targets, multiplicity } => Some((
                offsets.shared(py),
                targets.shared(py),
                multiplicity.as_ref().map(|array| array.clone_ref(py)),
            )),
            Arrays::File { .. } => None,
        })
    }

    #[getter]
    fn rank<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyArray1<u32>>>> {
        self.0.frame.ranks().map(|rank| array(py, rank.iter().copied())).transpose()
    }

    #[pyo3(signature = (exact, towards, parameters_only, threads, memory_limit, progress))]
    #[expect(clippy::too_many_arguments, reason = "the arguments of a Python function")]
    fn count(
        &self,
        py: Python<'_>,
        exact: bool,
        towards: &str,
        parameters_only: bool,
        threads: usize,
        memory_limit: Option<u64>,
        progress: Progress,
    ) -> PyResult<GraphCounts> {
        let towards = match towards {
            "outputs" => Towards::Outputs,
            "inputs" => Towards::Inputs,
            _ => Towards::Both,
        };
        let kinds = if parameters_only { Kinds::Parameters } else { Kinds::All };
        let options = GraphCountOptions { exact, towards, kinds, threads, memory_limit };
        let counts = self
            .0
            .with(py, |graph| enter(py, progress, |monitor| graph.count(&options, monitor)))?;
        Ok(GraphCounts::new(Arc::clone(&self.0), counts))
    }
}

/// Unrolls a network into a graph; also gives every tensor with the number of its first element.
pub(crate) fn unroll(
    py: Python<'_>,
    network: &unrolled_core::Network,
    memory_limit: Option<u64>,
    progress: Progress,
) -> PyResult<(Graph, Vec<(usize, u64)>)> {
    let unrolled =
        enter(py, progress, |monitor| unrolled_core::unroll(network, memory_limit, monitor))?;
    let arrays = Arrays::new(py, unrolled.lists);
    let graph = arrays.into_graph(py, unrolled.roles, unrolled.order, 0, None)?;
    Ok((
        Graph(Arc::new(graph)),
        unrolled.tensors.into_iter().map(|(id, start)| (id.0, start)).collect(),
    ))
}
