//! What this machine can do at most, measured: how fast its threads multiply and add, and how fast they read.
//!
//! Invariant: the probes are code of our own generator, run by the threads that run kernels; a rate is the best of several
//! runs, since whatever else the machine does only lowers it.

use super::code::Code;
use super::compile::compile_probe;
use super::{Cpu, JitError, Region};
use crate::pool::Pool;
use crate::tensor::Tensor;
use mlc_codegen::base::DType;
use mlc_codegen::cpu::Probe;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// How long each rate is measured for each thread: the more there are, the longer until all run at once.
const WHILE: Duration = Duration::from_millis(25);

/// How long one run of a probe takes, about: short, so that some run is not disturbed.
const RUN: f64 = 2e-4;

/// A larger working set than this is read no slower.
const MOST: u64 = 128 << 20;

/// A smaller working set is read no faster.
const LEAST: u64 = 4 << 10;

/// The limits of this machine for a number of threads.
pub struct Machine {
    code: Code,
    pool: Pool,
    operations: f64,
    memory: Tensor,
    multiply_adds: Option<f64>,
    /// By the working set, a power of two.
    reads: BTreeMap<u64, f64>,
}

impl Machine {
    /// What can measure; 0 threads stand for one for each core.
    ///
    /// # Errors
    /// The machine lacks what the level asks for.
    pub fn new(cpu: Cpu, threads: usize) -> Result<Machine, JitError> {
        let target = cpu.host()?;
        let compiled = [Probe::MultiplyAdds, Probe::Reads].map(|probe| compile_probe(probe, &target));
        let compiled = compiled.into_iter().collect::<Result<Vec<_>, _>>()?;
        let operations = Probe::operations(target.isa);
        Ok(Machine {
            code: Code::map(&compiled, target)?,
            pool: Pool::new(threads),
            operations,
            memory: Tensor::zeros(DType::U8, [0]).expect("no bytes"),
            multiply_adds: None,
            reads: BTreeMap::new(),
        })
    }

    /// How many threads share the work.
    pub fn threads(&self) -> usize {
        self.pool.threads()
    }

    /// f32 operations a second of all threads, a multiply-add counting two.
    pub fn multiply_adds(&mut self) -> f64 {
        if let Some(known) = self.multiply_adds {
            return known;
        }
        let a_turn = self.operations * self.threads() as f64;
        let rate = self.best(0, 0, a_turn, 1e9 * self.threads() as f64);
        *self.multiply_adds.insert(rate)
    }

    /// Bytes a second that all threads read of a working set of so many bytes, each its own share; as of the next greater
    /// power of two.
    pub fn reads(&mut self, bytes: u64) -> f64 {
        let bytes = bytes.clamp(LEAST, MOST).next_power_of_two();
        if let Some(known) = self.reads.get(&bytes) {
            return *known;
        }
        let threads = self.threads() as u64;
        let share = (bytes / threads).next_multiple_of(Probe::BLOCK as u64) as usize;
        let all = share * self.threads();
        if self.memory.len() < all {
            self.memory = Tensor::zeros(DType::U8, [all]).expect("bounded above");
            // Pages that nobody wrote are all one page of zeros.
            self.memory.bytes_mut().fill(1);
        }
        let rate = self.best(1, share, all as f64, 1e9);
        self.reads.insert(bytes, rate);
        rate
    }

    /// The best rate of a probe whose turns do `a_turn` each; `guess` is a rate that any machine has.
    fn best(&mut self, probe: usize, share: usize, a_turn: f64, guess: f64) -> f64 {
        let memory = [Region::exclusive(self.memory.bytes_mut())];
        let threads = self.pool.threads();
        let (begun, mut best) = (Instant::now(), 0f64);
        while best == 0.0 || begun.elapsed() < WHILE * threads.min(8) as u32 {
            let turns = (best.max(guess) * RUN / a_turn).ceil().max(1.0);
            let sizes = [turns as i64, share as i64];
            let start = Instant::now();
            self.pool.run(threads, &|part| {
                // SAFETY: probes read what their size block says and write nothing: the memory holds a share, a positive
                // multiple of the block, for each part, and there is at least one turn.
                unsafe { self.code.call(probe, &memory, &sizes, part, threads) };
            });
            best = best.max(turns * a_turn / start.elapsed().as_secs_f64());
        }
        best
    }
}

#[cfg(test)]
mod tests {
    use super::Machine;
    use crate::jit::Cpu;

    #[test]
    fn a_machine_has_limits_at_every_level() {
        for cpu in [Cpu::Generic, Cpu::Native] {
            for threads in [1, 3] {
                let mut machine = Machine::new(cpu, threads).expect("runs here");
                assert!(machine.multiply_adds() > 1e8, "{cpu}");
                for bytes in [0, 5000, 1 << 20] {
                    let rate = machine.reads(bytes);
                    assert!(rate.is_finite() && rate > 1e7, "{cpu} {bytes}");
                    assert_eq!(rate, machine.reads(bytes), "measured once");
                }
            }
        }
    }
}
