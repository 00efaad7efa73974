//! How much memory a call takes, decided before any of it is allocated.

use super::RunError;
use super::error::human;
use mlc_codegen::base::{DType, Dim};

/// The sum of what a call takes, against a limit.
pub(super) struct Budget {
    limit: u64,
    total: u64,
}

impl Budget {
    pub(super) fn new(limit: u64) -> Budget {
        Budget { limit, total: 0 }
    }

    /// Takes `bytes` for `what`; `None` stands for more than 64 bits can say.
    pub(super) fn take(&mut self, bytes: Option<u64>, what: &str) -> Result<usize, RunError> {
        let total = bytes.and_then(|bytes| self.total.checked_add(bytes));
        let fits = total.filter(|total| *total <= self.limit).zip(bytes.and_then(|b| usize::try_from(b).ok()));
        let Some((total, bytes)) = fits else {
            let needs = total.map_or("more bytes than 64 bits can count".to_string(), human);
            let message = format!(
                "this call needs {needs} with {what}; {} are allowed; give smaller inputs or raise --max-memory",
                human(self.limit)
            );
            return Err(RunError::new("MDL0704", message));
        };
        self.total = total;
        Ok(bytes)
    }

    /// Takes the bytes of a tensor; gives its shape.
    pub(super) fn tensor(
        &mut self,
        dtype: DType,
        dims: &[Dim],
        block: &[i64],
        what: &str,
    ) -> Result<Vec<usize>, RunError> {
        let shape: Option<Vec<usize>> = dims.iter().map(|dim| usize::try_from(dim.eval(block)?).ok()).collect();
        let bytes = shape
            .as_deref()
            .and_then(crate::tensor::element_count)
            .and_then(|elements| u64::try_from(dtype.bytes_for(i64::try_from(elements).ok()?)?).ok());
        self.take(bytes, what)?;
        Ok(shape.expect("its bytes were counted"))
    }
}

/// Bytes of memory that this machine has.
pub(super) fn physical() -> u64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: Option<u64> = line.and_then(|rest| rest.trim().trim_end_matches("kB").trim_end().parse().ok());
    kib.map_or(16 << 30, |kib| kib.saturating_mul(1024))
}
