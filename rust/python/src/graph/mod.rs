//! `Graph`: successor lists in NumPy arrays, or in a file.

pub(crate) mod counts;

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;

use numpy::{Element, PyArray1, PyArrayMethods, PyReadonlyArray1, ToPyArray};
use pyo3::prelude::*;
use unrolled_core::{
    Csr, FileLists, FilePlace, Frame, Graph as CoreGraph, GraphCountOptions, Indices, Kinds, Lists,
    Monitor, ParameterNodes, Roles, Towards, from_edges,
};

use crate::enter::enter;
use crate::error::{CoreError, InvalidGraphError};
use crate::graph::counts::GraphCounts;

type Progress = Option<Py<PyAny>>;
/// Offsets, targets, multiplicities.
type SortedLists = (Py<PyAny>, Py<PyAny>, Option<Py<PyArray1<u64>>>);

/// A directed acyclic graph. Arrays are shared with Python, not copied.
#[pyclass(frozen, module = "unrolled._core", name = "Graph")]
pub(crate) struct Graph {
    lists: Arrays,
    frame: Arc<Frame>,
}

/// Integers of either width, one array.
#[derive(FromPyObject)]
pub(crate) enum IndexArray {
    Narrow(Py<PyArray1<u32>>),
    Wide(Py<PyArray1<u64>>),
}

/// The arrays of a graph.
enum Arrays {
    Memory { offsets: IndexArray, targets: IndexArray, multiplicity: Option<Py<PyArray1<u64>>> },
    File { place: FilePlace, offsets: IndexArray, edges: usize },
}

/// Arrays that are being read.
enum Reading<'py> {
    Narrow(PyReadonlyArray1<'py, u32>),
    Wide(PyReadonlyArray1<'py, u64>),
}

impl IndexArray {
    fn read<'py>(&self, py: Python<'py>) -> PyResult<Reading<'py>> {
        Ok(match self {
            Self::Narrow(array) => Reading::Narrow(reading(py, array)?),
            Self::Wide(array) => Reading::Wide(reading(py, array)?),
        })
    }

    fn new(py: Python<'_>, indices: Indices<'_>) -> Self {
        match indices {
            Indices::Narrow(values) => {
                Self::Narrow(PyArray1::from_vec(py, values.into_owned()).unbind())
            }
            Indices::Wide(values) => {
                Self::Wide(PyArray1::from_vec(py, values.into_owned()).unbind())
            }
        }
    }

    fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Narrow(array) => Self::Narrow(array.clone_ref(py)),
            Self::Wide(array) => Self::Wide(array.clone_ref(py)),
        }
    }

    fn shared(&self, py: Python<'_>) -> Py<PyAny> {
        match self.clone_ref(py) {
            Self::Narrow(array) => array.into_any(),
            Self::Wide(array) => array.into_any(),
        }
    }
}

impl Reading<'_> {
    fn indices(&self) -> PyResult<Indices<'_>> {
        Ok(match self {
            Self::Narrow(array) => slice(array)?.into(),
            Self::Wide(array) => slice(array)?.into(),
        })
    }
}

fn reading<'py, T: Element>(
    py: Python<'py>,
    array: &Py<PyArray1<T>>,
) -> PyResult<PyReadonlyArray1<'py, T>> {
    let busy = |_| InvalidGraphError::new_err("an array of the graph is being written to");
    array.bind(py).try_readonly().map_err(busy)
}

fn slice<'a, T: Element>(array: &'a PyReadonlyArray1<'_, T>) -> PyResult<&'a [T]> {
    array.as_slice().map_err(|_| InvalidGraphError::new_err("an array of the graph has gaps"))
}

impl Graph {
    /// Calls `job` with the graph, its arrays borrowed.
    pub(crate) fn with<T>(
        &self,
        py: Python<'_>,
        job: impl FnOnce(CoreGraph<'_>) -> PyResult<T>,
    ) -> PyResult<T> {
        self.lists.with(py, true, |lists| {
            let frame = Arc::clone(&self.frame);
            job(CoreGraph::with_frame(lists, frame).map_err(CoreError::from)?)
        })
    }
}

impl Arrays {
    fn with<T>(
        &self,
        py: Python<'_>,
        trusted: bool,
        job: impl FnOnce(Lists<'_>) -> PyResult<T>,
    ) -> PyResult<T> {
        match self {
            Self::Memory { offsets, targets, multiplicity } => {
                let (offsets, targets) = (offsets.read(py)?, targets.read(py)?);
                let multiplicity =
                    multiplicity.as_ref().map(|array| reading(py, array)).transpose()?;
                let times = multiplicity.as_ref().map(slice).transpose()?.map(Cow::Borrowed);
                let (offsets, targets) = (offsets.indices()?, targets.indices()?);
                job(Lists::Memory(if trusted {
                    Csr::trusted(offsets, targets, times)
                } else {
                    Csr::new(offsets, targets, times).map_err(CoreError::from)?
                }))
            }
            Self::File { place, offsets, edges } => {
                let offsets = offsets.read(py)?;
                let (place, offsets) = (place.clone(), offsets.indices()?);
                job(Lists::File(if trusted {
                    FileLists::trusted(place, offsets)
                } else {
                    FileLists::new(place, offsets, *edges).map_err(CoreError::from)?
                }))
            }
        }
    }

    /// Checks the arrays and makes a graph of them.
    fn finish(
        self,
        py: Python<'_>,
        roles: Roles,
        rank: Option<Vec<u32>>,
        threads: usize,
        progress: Progress,
    ) -> PyResult<Graph> {
        let frame = self.with(py, false, |lists| {
            enter(py, progress, |monitor| {
                let graph = CoreGraph::new(lists, roles, rank, threads, monitor)?;
                Ok(Arc::clone(graph.frame()))
            })
        })?;
        Ok(Graph { lists: self, frame })
    }
}

/// What nodes are, as Python says it.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
struct RoleArrays<'py> {
    outputs: Option<PyReadonlyArray1<'py, u32>>,
    inputs: Option<PyReadonlyArray1<'py, u32>>,
    parameters: Option<PyReadonlyArray1<'py, u32>>,
    labels: Option<PyReadonlyArray1<'py, i64>>,
}

impl RoleArrays<'_> {
    fn roles(&self) -> Roles {
        let owned = |array: &Option<PyReadonlyArray1<'_, u32>>| {
            array.as_ref().map(|array| array.as_array().to_vec())
        };
        let parameters = match (&self.labels, owned(&self.parameters)) {
            (Some(labels), _) => ParameterNodes::Labels(labels.as_array().to_vec()),
            (None, Some(nodes)) => ParameterNodes::Nodes(nodes),
            (None, None) => ParameterNodes::Sources,
        };
        Roles { outputs: owned(&self.outputs), inputs: owned(&self.inputs), parameters }
    }
}

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
        let csr = enter(py, reporter, |monitor| {
            from_edges(&ends, heads, shared, num_nodes, threads, monitor)
        })?;
        let (lists, roles) = (Lists::Memory(csr.borrowed()), roles.roles());
        let frame = enter(py, progress, |monitor| {
            let graph = CoreGraph::new(lists, roles, None, threads, monitor)?;
            Ok(Arc::clone(graph.frame()))
        })?;
        let (offsets, heads, shared) = csr.into_parts();
        let lists = Arrays::Memory {
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
        Ok(Self { lists, frame })
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
        arrays.finish(py, roles.roles(), None, threads, progress)
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
        let rank = rank.map(|rank| rank.as_array().to_vec());
        arrays.finish(py, roles.roles(), rank, 1, progress)
    }

    #[getter]
    fn num_nodes(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |graph| Ok(graph.nodes()))
    }

    #[getter]
    fn num_edges(&self, py: Python<'_>) -> PyResult<usize> {
        self.with(py, |graph| Ok(graph.edges()))
    }

    #[getter]
    fn indptr(&self, py: Python<'_>) -> Py<PyAny> {
        match &self.lists {
            Arrays::Memory { offsets, .. } | Arrays::File { offsets, .. } => offsets.shared(py),
        }
    }

    #[getter]
    fn indices(&self, py: Python<'_>) -> Option<Py<PyAny>> {
        match &self.lists {
            Arrays::Memory { targets, .. } => Some(targets.shared(py)),
            Arrays::File { .. } => None,
        }
    }

    #[getter]
    fn multiplicity(&self, py: Python<'_>) -> Option<Py<PyArray1<u64>>> {
        match &self.lists {
            Arrays::Memory { multiplicity, .. } => {
                multiplicity.as_ref().map(|array| array.clone_ref(py))
            }
            Arrays::File { .. } => None,
        }
    }

    #[getter]
    fn outputs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<u32>>> {
        self.with(py, |graph| Ok(graph.outputs().to_pyarray(py)))
    }

    fn inputs<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<u32>>> {
        self.with(py, |graph| {
            Ok(PyArray1::from_vec(py, enter(py, None, |monitor| graph.inputs(monitor))?))
        })
    }

    fn parameters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyArray1<i64>>> {
        self.with(py, |graph| {
            let labels = enter(py, None, |monitor| graph.parameter_labels(monitor))?;
            Ok(PyArray1::from_vec(py, labels))
        })
    }

    /// The lists in topological order; `None` if they are in a file.
    fn sorted_lists(&self, py: Python<'_>) -> Option<SortedLists> {
        let own = match (&self.lists, self.frame.sorted()) {
            (Arrays::File { .. }, _) => return None,
            (lists, None) => lists,
            (_, Some(csr)) => &Arrays::owned(py, csr.clone()),
        };
        match own {
            Arrays::Memory { offsets, targets, multiplicity } => Some((
                offsets.shared(py),
                targets.shared(py),
                multiplicity.as_ref().map(|array| array.clone_ref(py)),
            )),
            Arrays::File { .. } => None,
        }
    }

    #[getter]
    fn rank<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyArray1<u32>>> {
        self.frame.ranks().map(|rank| rank.to_pyarray(py))
    }

    #[pyo3(signature = (exact, towards, parameters_only, threads, memory_limit, progress))]
    fn count(
        slf: Bound<'_, Self>,
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
        let count = |graph: CoreGraph<'_>, monitor: &Monitor<'_>| graph.count(&options, monitor);
        let py = slf.py();
        let counts =
            slf.get().with(py, |graph| enter(py, progress, |monitor| count(graph, monitor)))?;
        Ok(GraphCounts::new(slf.unbind(), counts))
    }
}

impl Arrays {
    fn owned(py: Python<'_>, csr: Csr<'static>) -> Self {
        let (offsets, targets, multiplicity) = csr.into_parts();
        Self::Memory {
            offsets: IndexArray::new(py, offsets),
            targets: IndexArray::new(py, targets),
            multiplicity: multiplicity
                .map(|times| PyArray1::from_vec(py, times.into_owned()).unbind()),
        }
    }
}

/// The unrolled network, and where the elements of every tensor begin.
pub(crate) fn unroll(
    py: Python<'_>,
    network: &unrolled_core::Network,
    memory_limit: Option<u64>,
    progress: Progress,
) -> PyResult<(Graph, Vec<(usize, u64)>)> {
    let unrolled =
        enter(py, progress, |monitor| unrolled_core::unroll(network, memory_limit, monitor))?;
    let graph = Arrays::owned(py, unrolled.lists).finish(py, unrolled.roles, None, 0, None)?;
    Ok((graph, unrolled.tensors.into_iter().map(|(id, start)| (id.0, start)).collect()))
}
