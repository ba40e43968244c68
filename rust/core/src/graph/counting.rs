//! How a graph is counted: which sweeps are made, with which widths, within which memory.
//!
//! Paths towards outputs are counted in the graph's lists, paths from inputs in the same lists
//! turned round. A graph whose counts are small is counted in log space, where they are exact then.

use std::sync::Arc;

use crate::error::{Error, Result};
use crate::graph::building::topological::reverse;
use crate::graph::counts::{GraphCounts, Side, SideCounts};
use crate::graph::exact::digits::digits;
use crate::graph::exact::parameter_rows::ParameterRows;
use crate::graph::exact::sweep::ExactSweep;
use crate::graph::exact::widths::Widths;
use crate::graph::frame::Graph;
use crate::graph::lists::csr::Csr;
use crate::graph::lists::file::{ReversedReader, with_reader};
use crate::graph::lists::node_set::NodeSet;
use crate::graph::lists::place::{Lists, with_source};
use crate::graph::lists::source::{Source, lists_changed};
use crate::graph::log::compensated::CompensatedSweep;
use crate::graph::log::rounding::{RoundingSweep, roundings_are_few};
use crate::graph::log::running_sums;
use crate::graph::log::scaled_counts::ScaledCounts;
use crate::graph::log::sweep::LogSweep;
use crate::graph::options::{GraphCountOptions, Kinds, Towards};
use crate::graph::purposes::LOG_SPACE;
use crate::graph::roles::node_set;
use crate::graph::survey::blocks::{Numbering, Survey, survey};
use crate::graph::sweep::drive;
use crate::machine::memory::{Purpose, available_memory, check_room};
use crate::machine::monitor::Monitor;
use crate::machine::team::Team;

/// If no count has more bits than this, better bounds on widths are not worth their time.
const CHEAP: u32 = 8 * 56;

/// One count in one direction.
struct Job<'j> {
    /// The nodes at which paths end, by their places in the sweep.
    ends: &'j NodeSet,
    /// The nodes whose counts are kept, by their places in the sweep; `None` for all.
    wanted: Option<NodeSet>,
    /// Whether edges have multiplicities.
    weighted: bool,
    exact: bool,
    /// The most bytes that counts may take.
    limit: u64,
    team: &'j Team,
    monitor: &'j Monitor<'j>,
}

impl Graph<'_> {
    /// Counts the paths of every node, in the direction that the options name.
    ///
    /// ```
    /// use unrolled_core::{
    ///     Graph, GraphCountOptions, Indices, Lists, Monitor, Roles, Towards, from_edges,
    /// };
    ///
    /// // Two paths from node 0 to node 3.
    /// let (sources, targets): (Indices, Indices) =
    ///     (vec![0u32, 0, 1, 2].into(), vec![1u32, 2, 3, 3].into());
    /// let monitor = Monitor::silent();
    /// let (lists, order) = from_edges(&sources, targets, None, None, 1, &monitor)?;
    /// let graph = Graph::new(Lists::Memory(lists), Roles::default(), order, 1, &monitor)?;
    /// let log_space = GraphCountOptions { exact: false, ..GraphCountOptions::default() };
    /// assert_eq!(graph.count(&log_space, &monitor)?.value(0)?.log2(), 1.0);
    /// # Ok::<(), unrolled_core::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`Error::NothingToCount`] for a graph without nodes; [`Error::GraphMemory`];
    /// [`Error::Interrupted`]; [`Error::GraphFile`] if a file cannot be read;
    /// [`Error::InvalidGraph`] if lists were changed after they were checked.
    pub fn count(&self, options: &GraphCountOptions, monitor: &Monitor<'_>) -> Result<GraphCounts> {
        if self.nodes() == 0 {
            let reason = "the graph has no nodes; add edges, or say how many nodes there are";
            return Err(Error::NothingToCount { reason: reason.into() });
        }
        let team = Team::new(options.threads);
        let limit = options.memory_limit.unwrap_or_else(available_memory);
        let mut sides = Vec::with_capacity(2);
        monitor.plan(match options.towards {
            Towards::Outputs => 1,
            // Turning the edges round and surveying them again are stages of their own.
            Towards::Inputs => 3,
            Towards::Both => 4,
        });
        if options.towards != Towards::Inputs {
            sides.push(self.count_to_outputs(options, limit, &team, monitor)?);
        }
        if options.towards != Towards::Outputs {
            sides.push(self.count_from_inputs(options, limit, &team, monitor)?);
        }
        monitor.complete()?;
        let kept = match options.kinds {
            Kinds::All => None,
            Kinds::Parameters => Some(self.kept_nodes(options.towards, monitor)?),
        };
        let frame = Arc::clone(self.frame());
        Ok(GraphCounts::new(frame, sides, options.towards, options.exact, kept))
    }

    /// Counts the paths from every node to the outputs.
    fn count_to_outputs(
        &self,
        options: &GraphCountOptions,
        limit: u64,
        team: &Team,
        monitor: &Monitor<'_>,
    ) -> Result<Side> {
        let frame = self.frame();
        let ranked;
        let ends = if frame.rank.is_none() {
            &frame.outputs
        } else {
            ranked = self.places(frame.outputs.iter(), false)?;
            &ranked
        };
        let job = Job {
            ends,
            wanted: self.wanted(options, false, monitor)?,
            weighted: self.is_weighted(),
            exact: options.exact,
            limit,
            team,
            monitor,
        };
        let lists = match &frame.renumbered {
            Some(csr) => &Lists::Memory(csr.borrowed()),
            None => &self.lists,
        };
        let counts = with_source!(lists, source => job.count(&mut source, &frame.survey))?;
        Ok(Side { counts, flipped: false })
    }

    /// Counts the paths from the inputs to every node.
    fn count_from_inputs(
        &self,
        options: &GraphCountOptions,
        limit: u64,
        team: &Team,
        monitor: &Monitor<'_>,
    ) -> Result<Side> {
        let frame = self.frame();
        let inputs = self.input_nodes(monitor)?;
        let ends = if inputs.count() > 0 {
            self.places(inputs.iter(), true)?
        } else {
            self.places(self.sources(monitor)?.iter(), true)?
        };
        let wanted = self.wanted(options, true, monitor)?;
        let weighted = self.is_weighted();
        let (exact, ends) = (options.exact, &ends);
        let job = Job { ends, wanted, weighted, exact, limit, team, monitor };
        let in_memory = |csr: &Csr<'_>| Ok(Lists::Memory(reverse(csr, team, monitor)?));
        let turned = match (&frame.renumbered, &self.lists) {
            (Some(csr), _) | (None, Lists::Memory(csr)) => in_memory(csr)?,
            (None, Lists::File(file)) => {
                let counts = with_reader!(file, reader => {
                    let mut source = ReversedReader::new(reader)?;
                    let survey = survey_topological(&mut source, monitor)?;
                    job.count(&mut source, &survey)
                })?;
                return Ok(Side { counts, flipped: true });
            }
        };
        let counts = with_source!(&turned, source => {
            let survey = survey_topological(&mut source, monitor)?;
            job.count(&mut source, &survey)
        })?;
        Ok(Side { counts, flipped: true })
    }

    /// The places of some nodes in a sweep, which goes from the other end if `flipped`.
    fn places(&self, nodes: impl Iterator<Item = usize>, flipped: bool) -> Result<NodeSet> {
        let mut marks = NodeSet::empty(self.nodes())?;
        for node in nodes {
            let place = self.rank(node);
            marks.insert(if flipped { self.nodes() - 1 - place } else { place });
        }
        Ok(marks)
    }

    /// The places in the sweep of the nodes whose counts are kept; `None` for all.
    fn wanted(
        &self,
        options: &GraphCountOptions,
        flipped: bool,
        monitor: &Monitor<'_>,
    ) -> Result<Option<NodeSet>> {
        if options.kinds == Kinds::All || !options.exact {
            return Ok(None);
        }
        let kept = self.kept_nodes(options.towards, monitor)?;
        Ok(Some(self.places(kept.iter(), flipped)?))
    }

    /// The nodes whose counts are kept where not all are: parameters, or outputs if paths are
    /// counted from the inputs.
    fn kept_nodes(&self, towards: Towards, monitor: &Monitor<'_>) -> Result<NodeSet> {
        if towards == Towards::Inputs {
            return self.frame().outputs.try_clone();
        }
        node_set(&self.parameters(monitor)?.nodes, self.nodes(), "parameter")
    }

    /// Whether edges have multiplicities.
    fn is_weighted(&self) -> bool {
        match &self.lists {
            Lists::Memory(csr) => csr.multiplicity.is_some(),
            Lists::File(file) => file.has_multiplicity(),
        }
    }
}

/// The survey of lists that must be numbered topologically.
fn survey_topological<S: Source>(source: &mut S, monitor: &Monitor<'_>) -> Result<Survey> {
    match survey(source, monitor)? {
        Numbering::Topological(survey) => Ok(survey),
        Numbering::Other => Err(lists_changed()),
    }
}

impl Job<'_> {
    /// Does the job, with the cheapest sweeps that serve.
    fn count<S: Source>(self, source: &mut S, survey: &Survey) -> Result<SideCounts> {
        let steps = (source.nodes() + source.edges()) as u64;
        let below = |most| !self.weighted && survey.bits.iter().all(|&bits| bits <= most);
        // Counts below 2^53 are exact in log space, too.
        let small = below(53);
        if self.exact
            && !small
            && let Some(widths) = self.widths(survey, below(CHEAP))
        {
            self.monitor.start(steps);
            return self.count_exactly(source, survey, widths, 0);
        }
        self.monitor.start(if self.exact && !small { 2 * steps } else { steps });
        self.check_memory(LOG_SPACE, ScaledCounts::bytes_of(source.nodes()))?;
        let words = !self.weighted && running_sums::is_worth_it(survey, source);
        let mut sweep = LogSweep::new(source.nodes(), self.ends, &survey.stretches, words);
        drive(source, survey, self.team, self.monitor, &mut sweep)?;
        let scaled = sweep.finish(self.monitor)?;
        if scaled.is_exact() {
            return Ok(SideCounts::scaled(scaled, 0));
        }
        if !self.exact {
            return self.check_rounding(source, survey, scaled);
        }
        let widths = Widths::from_log_space(&scaled, source.nodes(), self.monitor)?;
        let peak = scaled.bytes();
        drop(scaled);
        self.count_exactly(source, survey, widths, peak)
    }

    /// The widths of exact counts, if they can be had without a sweep in log space.
    fn widths<'s>(&self, survey: &'s Survey, cheap: bool) -> Option<Widths<'s>> {
        if cheap {
            let widths = survey.bits.iter().map(|&bits| digits(bits.into()));
            return Some(Widths::Known(widths.collect()));
        }
        if self.weighted { None } else { Widths::from_growth(survey) }
    }

    /// The counts `scaled`, if rounding has moved no logarithm too far; else counts once more with
    /// compensated sums.
    fn check_rounding<S: Source>(
        self,
        source: &mut S,
        survey: &Survey,
        scaled: ScaledCounts,
    ) -> Result<SideCounts> {
        if !self.weighted && roundings_are_few(&scaled, survey, self.ends, source) {
            return Ok(SideCounts::scaled(scaled, 0));
        }
        let nodes = source.nodes();
        let bounding = scaled.bytes() + RoundingSweep::bytes(nodes);
        self.check_memory(LOG_SPACE, bounding)?;
        let mut sweep = RoundingSweep::new(&scaled, self.ends);
        drive(source, survey, self.team, self.monitor, &mut sweep)?;
        if !sweep.found_too_many {
            return Ok(SideCounts::scaled(scaled, bounding));
        }
        drop(scaled);
        let needed = CompensatedSweep::bytes(nodes);
        self.check_memory(LOG_SPACE, needed)?;
        let mut sweep = CompensatedSweep::new(nodes, self.ends);
        drive(source, survey, self.team, self.monitor, &mut sweep)?;
        let stragglers = sweep.scaled.bytes() - ScaledCounts::bytes_of(nodes);
        Ok(SideCounts::scaled(sweep.scaled, bounding.max(needed + stragglers)))
    }

    /// Counts exactly; `before` are the bytes that there were at once before.
    fn count_exactly<S: Source>(
        mut self,
        source: &mut S,
        survey: &Survey,
        widths: Widths<'_>,
        before: u64,
    ) -> Result<SideCounts> {
        let kept = match self.wanted.take() {
            Some(wanted) => Some(ParameterRows::plan(source, wanted, self.monitor)?),
            None => None,
        };
        let (ends, limit) = (self.ends, self.limit);
        let mut sweep = ExactSweep::new(source.nodes(), widths, ends, survey, kept, limit);
        self.check_memory(sweep.purpose(), sweep.needed())?;
        drive(source, survey, self.team, self.monitor, &mut sweep)?;
        SideCounts::exact(sweep, before)
    }

    /// Refuses to take more memory than is allowed.
    fn check_memory(&self, purpose: Purpose, needed: u64) -> Result<()> {
        check_room(purpose, needed, self.limit)
    }
}
