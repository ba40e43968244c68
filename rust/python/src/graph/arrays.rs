//! The arrays of a graph, which it shares with Python, and how they are lent to the core.

use std::borrow::Cow;
use std::sync::Arc;

use numpy::{Element, PyArray1, PyArrayMethods, PyReadonlyArray1};
use pyo3::prelude::*;
use unrolled_core::{
    Csr, FileLists, FilePlace, Frame, Graph, Indices, Lists, NodeOrder, ParameterNodes, Roles,
};

use crate::enter::enter;
use crate::error::{CoreError, InvalidGraphError};
use crate::natural::listed;

/// A function that is told how far a long call has come.
pub(crate) type Progress = Option<Py<PyAny>>;

/// Offsets, targets, multiplicities.
pub(crate) type SortedLists = (Py<PyAny>, Py<PyAny>, Option<Py<PyArray1<u64>>>);

/// An array of integers of either width.
#[derive(FromPyObject)]
pub(crate) enum IndexArray {
    Narrow(Py<PyArray1<u32>>),
    Wide(Py<PyArray1<u64>>),
}

/// The arrays of a graph, or the place of those that are in a file.
pub(crate) enum Arrays {
    Memory { offsets: IndexArray, targets: IndexArray, multiplicity: Option<Py<PyArray1<u64>>> },
    File { place: FilePlace, offsets: IndexArray, edges: usize },
}

/// An array that is being read, so that it must not be written to.
pub(crate) enum Reading<'py> {
    Narrow(PyReadonlyArray1<'py, u32>),
    Wide(PyReadonlyArray1<'py, u64>),
}

impl IndexArray {
    /// Borrows the array for reading.
    pub(crate) fn read<'py>(&self, py: Python<'py>) -> PyResult<Reading<'py>> {
        Ok(match self {
            Self::Narrow(array) => Reading::Narrow(reading(py, array)?),
            Self::Wide(array) => Reading::Wide(reading(py, array)?),
        })
    }

    /// A new array of these integers.
    pub(crate) fn new(py: Python<'_>, indices: Indices<'_>) -> Self {
        match indices {
            Indices::Narrow(values) => {
                Self::Narrow(PyArray1::from_vec(py, values.into_owned()).unbind())
            }
            Indices::Wide(values) => {
                Self::Wide(PyArray1::from_vec(py, values.into_owned()).unbind())
            }
        }
    }

    /// The same array once more.
    pub(crate) fn clone_ref(&self, py: Python<'_>) -> Self {
        match self {
            Self::Narrow(array) => Self::Narrow(array.clone_ref(py)),
            Self::Wide(array) => Self::Wide(array.clone_ref(py)),
        }
    }

    /// The array as Python sees it.
    pub(crate) fn shared(&self, py: Python<'_>) -> Py<PyAny> {
        match self.clone_ref(py) {
            Self::Narrow(array) => array.into_any(),
            Self::Wide(array) => array.into_any(),
        }
    }
}

impl Reading<'_> {
    /// The integers as the core takes them.
    pub(crate) fn indices(&self) -> PyResult<Indices<'_>> {
        Ok(match self {
            Self::Narrow(array) => slice(array)?.into(),
            Self::Wide(array) => slice(array)?.into(),
        })
    }
}

/// Borrows an array for reading.
pub(crate) fn reading<'py, T: Element>(
    py: Python<'py>,
    array: &Py<PyArray1<T>>,
) -> PyResult<PyReadonlyArray1<'py, T>> {
    let busy = |_| InvalidGraphError::new_err("an array of the graph is being written to");
    array.bind(py).try_readonly().map_err(busy)
}

/// The contents of an array, which must lie side by side.
pub(crate) fn slice<'a, T: Element>(array: &'a PyReadonlyArray1<'_, T>) -> PyResult<&'a [T]> {
    array.as_slice().map_err(|_| InvalidGraphError::new_err("an array of the graph has gaps"))
}

/// A graph that was checked: its arrays, and what the core knows of them.
pub(crate) struct GraphArrays {
    pub(crate) arrays: Arrays,
    pub(crate) frame: Arc<Frame>,
}

impl GraphArrays {
    /// Calls `job` with the graph, its arrays borrowed.
    pub(crate) fn with<T>(
        &self,
        py: Python<'_>,
        job: impl FnOnce(Graph<'_>) -> PyResult<T>,
    ) -> PyResult<T> {
        self.arrays.with(py, true, |lists| {
            let frame = Arc::clone(&self.frame);
            job(Graph::with_frame(lists, frame).map_err(CoreError::from)?)
        })
    }
}

impl Arrays {
    /// New arrays of these lists.
    pub(crate) fn new(py: Python<'_>, csr: Csr<'static>) -> Self {
        let (offsets, targets, multiplicity) = csr.into_parts();
        Self::Memory {
            offsets: IndexArray::new(py, offsets),
            targets: IndexArray::new(py, targets),
            multiplicity: multiplicity
                .map(|times| PyArray1::from_vec(py, times.into_owned()).unbind()),
        }
    }
    /// Calls `job` with the lists, borrowed; they are checked unless they are `trusted`.
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
    pub(crate) fn into_graph(
        self,
        py: Python<'_>,
        roles: Roles,
        order: NodeOrder,
        threads: usize,
        progress: Progress,
    ) -> PyResult<GraphArrays> {
        let frame = self.with(py, false, |lists| {
            enter(py, progress, |monitor| {
                let graph = Graph::new(lists, roles, order, threads, monitor)?;
                Ok(Arc::clone(graph.frame()))
            })
        })?;
        Ok(GraphArrays { arrays: self, frame })
    }
}

/// The roles of nodes as Python gives them.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct RoleArrays<'py> {
    outputs: Option<PyReadonlyArray1<'py, u32>>,
    inputs: Option<PyReadonlyArray1<'py, u32>>,
    parameters: Option<PyReadonlyArray1<'py, u32>>,
    labels: Option<PyReadonlyArray1<'py, i64>>,
}

impl RoleArrays<'_> {
    /// The roles as the core takes them.
    pub(crate) fn roles(&self) -> PyResult<Roles> {
        let owned = |array: &Option<PyReadonlyArray1<'_, u32>>| {
            array.as_ref().map(|array| listed(array.as_array().iter().copied())).transpose()
        };
        let parameters = match (&self.labels, owned(&self.parameters)?) {
            (Some(labels), _) => ParameterNodes::Labels(listed(labels.as_array().iter().copied())?),
            (None, Some(nodes)) => ParameterNodes::Nodes(nodes),
            (None, None) => ParameterNodes::Sources,
        };
        Ok(Roles { outputs: owned(&self.outputs)?, inputs: owned(&self.inputs)?, parameters })
    }
}
