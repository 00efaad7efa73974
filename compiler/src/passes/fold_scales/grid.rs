//! Numbers that broadcast against a result, aligned from the right.

use super::super::constants::finite;
use mlc_codegen::base::DType;
use mlc_runtime::tensor::Tensor;

/// A small tensor as f64.
#[derive(Clone, Debug)]
pub(super) struct Grid {
    shape: Vec<usize>,
    values: Vec<f64>,
}

impl Grid {
    pub(super) fn of(tensor: &Tensor) -> Grid {
        Grid { shape: tensor.shape().to_vec(), values: tensor.to_f64_vec() }
    }

    /// Axis 1 of a result of `rank` axes, for numbers that have one axis.
    pub(super) fn along_channels(mut self, rank: usize) -> Grid {
        self.shape.resize(rank - 1, 1);
        self
    }

    pub(super) fn map(mut self, function: impl Fn(f64) -> f64) -> Grid {
        self.values.iter_mut().for_each(|value| *value = function(*value));
        self
    }

    /// Both broadcast against each other.
    pub(super) fn combined(&self, other: &Grid, function: impl Fn(f64, f64) -> f64) -> Grid {
        let rank = self.shape.len().max(other.shape.len());
        let extent =
            |grid: &Grid, axis: usize| (axis + grid.shape.len()).checked_sub(rank).map_or(1, |own| grid.shape[own]);
        let wider = |axis| if extent(self, axis) == 1 { extent(other, axis) } else { extent(self, axis) };
        let shape: Vec<usize> = (0..rank).map(wider).collect();
        let axes: Vec<Option<usize>> = (0..rank).map(Some).collect();
        let [a, b] = [self, other].map(|grid| grid.places(&shape, rank, &axes).expect("every axis is there"));
        let values = a.into_iter().zip(b).map(|(a, b)| function(self.values[a], other.values[b])).collect();
        Grid { shape, values }
    }

    /// The numbers for each element of a tensor of `shape`, where axis `p` of a result of `rank` axes is axis `axes[p]` of
    /// the tensor; `None` when they differ along an axis that it lacks.
    fn places(&self, shape: &[usize], rank: usize, axes: &[Option<usize>]) -> Option<Vec<usize>> {
        let mut steps = vec![0; shape.len()];
        let mut stride = 1;
        for (own, extent) in self.shape.iter().enumerate().rev() {
            if *extent != 1 {
                let place = (own + rank).checked_sub(self.shape.len()).and_then(|axis| axes[axis])?;
                steps[place] += stride;
            }
            stride *= extent;
        }
        let places = shape.iter().zip(steps).fold(vec![0], |starts, (extent, step)| {
            starts.iter().flat_map(|start| (0..*extent).map(move |i| start + i * step)).collect()
        });
        Some(places)
    }

    /// A weight times these numbers.
    pub(super) fn times(&self, weight: &Tensor, rank: usize, axes: &[Option<usize>]) -> Option<Tensor> {
        let places = self.places(weight.shape(), rank, axes)?;
        let numbers = weight.to_f64_vec();
        finite(weight.dtype(), weight.shape(), |i| numbers[i] * self.values[places[i]])
    }

    /// One number for each channel, axis 1 of the result.
    pub(super) fn channels(&self, rank: usize, channels: usize, dtype: DType) -> Option<Tensor> {
        let axes: Vec<Option<usize>> = (0..rank).map(|axis| (axis == 1).then_some(0)).collect();
        let places = self.places(&[channels], rank, &axes)?;
        finite(dtype, &[channels], |i| self.values[places[i]])
    }

    pub(super) fn tensor(&self, dtype: DType) -> Option<Tensor> {
        finite(dtype, &self.shape, |i| self.values[i])
    }
}
