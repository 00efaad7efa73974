//! `--print-after` and `--dump-phases`: the graph on its way through the passes.

use super::failure::Failure;
use super::load::Loaded;
use super::{emit, output, passes};
use crate::Pipeline;
use crate::export::mdl;
use crate::graph::Graph;
use anyhow::Result;
use mlc_runtime::artifact::Artifact;
use mlc_runtime::weights::write_aside;
use std::path::Path;

/// What to show of the way.
pub(super) struct Phases<'a> {
    /// Passes after which the graph is printed.
    pub(super) printed: &'a [String],
    /// Where every phase goes.
    pub(super) folder: Option<&'a Path>,
    /// The model file.
    pub(super) file: &'a Path,
}

/// The name of a pass, or of the graph before all.
pub(super) fn phase(name: &str) -> Result<String, String> {
    if name == "check" { Ok(name.into()) } else { passes::named(name).map(|pass| pass.name.into()) }
}

impl Phases<'_> {
    pub(super) fn is_empty(&self) -> bool {
        self.printed.is_empty() && self.folder.is_none()
    }

    /// Runs the passes and shows what was asked for.
    pub(super) fn run(&self, loaded: &Loaded, graph: &mut Graph) -> Result<()> {
        let pipeline = &loaded.pipeline;
        let runs = |name: &str| name == "check" || pipeline.passes.iter().any(|pass| pass.name == name);
        if let Some(never) = self.printed.iter().find(|name| !runs(name)) {
            anyhow::bail!("`{never}` is not among the passes that run: {pipeline}");
        }
        if let Some(folder) = self.folder {
            std::fs::create_dir_all(folder).map_err(|error| Failure::unwritten(folder, &error))?;
        }
        let mut number = 0;
        loaded.passed(graph, &mut |name, graph| {
            if let Some(folder) = self.folder {
                mdl::write(graph, &folder.join(format!("{number}-{name}.mdl")))?;
            }
            if self.printed.iter().any(|wanted| wanted == name) {
                output::data(&format!("// after {name}\n{}", emit::printed(graph, self.file).0));
            }
            number += 1;
            Ok(())
        })
    }

    /// The last phase.
    pub(super) fn kernels(&self, pipeline: &Pipeline, artifact: &Artifact) -> Result<()> {
        let Some(folder) = self.folder else { return Ok(()) };
        let path = folder.join(format!("{}-kernels.txt", pipeline.passes.len() + 1));
        let written = write_aside(&path, |out| out.write_all(artifact.plan.to_string().as_bytes()));
        Ok(written.map_err(|error| Failure::unwritten(&path, &error))?)
    }
}
