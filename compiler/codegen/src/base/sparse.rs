//! Matrices of f32 that are mostly zeros, as the CPU's kernels read them.
//!
//! Rows are taken in *blocks* of `BLOCK`, columns in *tiles*; where a block meets a tile is a *region*. A region's rows are
//! sorted by how many numbers they have there, and each `lanes` of them are a *slice*: step q of a slice holds the q-th
//! number of every row, with its column in the tile as a byte. Rows that have fewer are filled up with zeros that stand at
//! columns where they hold zeros anyway, so that no product appears that a dense matrix would not have.
//!
//! | from | what |
//! |---|---|
//! | 0 | u32 for each region and one more: its first step |
//! | `counts` | u16 for each slice: its steps |
//! | `order` | u8 for each row of a region: which row of the block it is |
//! | `values` | f32 for each lane of each step |
//! | `indices` | u8 for each lane of each step |
//!
//! Regions follow one another by tiles, then blocks; parts begin at multiples of 64. Invariant: all places follow from the
//! sizes in `Sparse`; `check` is what makes bytes of a stranger harmless.

use serde::{Deserialize, Serialize};

/// Rows of a block.
pub const BLOCK: usize = 128;

/// What the machine that reads it takes at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Eight rows, 256 columns: for loads by index from a first-level cache, in 256-bit vectors or narrower ones.
    Cached,
    /// Sixteen rows, 64 columns: for permutations of four 512-bit registers.
    Permuted,
}

/// A sparse matrix of f32, row by row a column of the right side of a product: element `(row, column)` has the number
/// `row * columns + column`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sparse {
    /// Positions of n.
    pub rows: u32,
    /// Positions of k, flat.
    pub columns: u32,
    /// How its slices are cut.
    pub form: Form,
    /// Steps that there is room for.
    pub steps: u32,
}

/// A dense matrix to be stored sparse: element `(row, column)` is `numbers[row * by_row + columns[column]]`.
#[derive(Clone, Copy, Debug)]
pub struct Dense<'a> {
    /// All numbers.
    pub numbers: &'a [f32],
    /// Between rows.
    pub by_row: usize,
    /// Where each column begins.
    pub columns: &'a [usize],
}

impl Form {
    /// Rows of a slice.
    pub fn lanes(self) -> usize {
        match self {
            Form::Cached => 8,
            Form::Permuted => 16,
        }
    }

    /// Columns of a tile.
    pub fn tile(self) -> usize {
        match self {
            Form::Cached => 256,
            Form::Permuted => 64,
        }
    }
}

impl Sparse {
    /// The matrix of `rows` rows and its bytes.
    pub fn encode(rows: u32, form: Form, dense: Dense) -> (Sparse, Vec<u8>) {
        let columns = u32::try_from(dense.columns.len()).expect("a matrix has fewer columns");
        let mut sparse = Sparse { rows, columns, form, steps: 0 };
        let mut parts = Parts { starts: vec![0], ..Parts::default() };
        for block in 0..sparse.blocks() {
            for tile in 0..sparse.tiles() {
                parts.region(&sparse, dense, block, tile);
            }
        }
        sparse.steps = *parts.starts.last().expect("it starts with one");
        (sparse, parts.laid_out(&sparse))
    }

    /// The same with room for `steps` steps, which are not fewer than there are.
    pub fn with_room(self, bytes: &[u8], steps: u32) -> (Sparse, Vec<u8>) {
        let wider = Sparse { steps, ..self };
        let mut all = vec![0; wider.bytes() as usize];
        all[..self.values()].copy_from_slice(&bytes[..self.values()]);
        for (from, to, each) in [(self.values(), wider.values(), 4), (self.indices(), wider.indices(), 1)] {
            let count = self.steps as usize * form_bytes(self.form, each);
            all[to..to + count].copy_from_slice(&bytes[from..from + count]);
        }
        (wider, all)
    }

    /// Blocks of rows.
    pub fn blocks(&self) -> usize {
        (self.rows as usize).div_ceil(BLOCK)
    }

    /// Tiles of columns.
    pub fn tiles(&self) -> usize {
        (self.columns as usize).div_ceil(self.form.tile())
    }

    /// Slices of a region.
    pub fn slices(&self) -> usize {
        BLOCK / self.form.lanes()
    }

    fn regions(&self) -> usize {
        self.blocks() * self.tiles()
    }

    /// Where the slices' counts begin.
    pub fn counts(&self) -> usize {
        ((self.regions() + 1) * 4).next_multiple_of(64)
    }

    /// Where the orders of rows begin.
    pub fn order(&self) -> usize {
        (self.counts() + self.regions() * self.slices() * 2).next_multiple_of(64)
    }

    /// Where the numbers begin.
    pub fn values(&self) -> usize {
        (self.order() + self.regions() * BLOCK).next_multiple_of(64)
    }

    /// Where the columns begin.
    pub fn indices(&self) -> usize {
        self.values() + self.steps as usize * form_bytes(self.form, 4)
    }

    /// All bytes. Sizes of 32 bits keep it below 2^58.
    pub fn bytes(&self) -> i64 {
        (self.indices() + self.steps as usize * form_bytes(self.form, 1)) as i64
    }

    /// How many elements it stands for.
    pub fn elements(&self) -> i64 {
        i64::from(self.rows) * i64::from(self.columns)
    }

    /// How many of the numbers are not zero.
    pub fn entries(&self, bytes: &[u8]) -> u64 {
        let values = bytes[self.values()..self.indices()].chunks_exact(4);
        values.filter(|word| f32::from_le_bytes([word[0], word[1], word[2], word[3]]) != 0.0).count() as u64
    }

    /// Whether the bytes keep to the form, whoever made them: as many as there should be, regions one after another, no
    /// column beyond the last, every row once.
    ///
    /// # Errors
    /// What is wrong.
    pub fn check(&self, bytes: &[u8]) -> Result<(), &'static str> {
        if bytes.len() as i64 != self.bytes() {
            return Err("a sparse matrix has another length than its sizes say");
        }
        if self.start(bytes, 0) != 0 || self.start(bytes, self.regions()) > self.steps as usize {
            return Err("a sparse matrix has more steps than room");
        }
        (0..self.regions()).try_for_each(|region| self.check_region(bytes, region))
    }

    fn check_region(&self, bytes: &[u8], region: usize) -> Result<(), &'static str> {
        let tile = self.form.tile();
        let width = (self.columns as usize - region % self.tiles() * tile).min(tile);
        let (start, end) = (self.start(bytes, region), self.start(bytes, region + 1));
        let steps: usize = (0..self.slices()).map(|slice| self.count(bytes, region, slice)).sum();
        if start + steps != end {
            return Err("the regions of a sparse matrix do not follow one another");
        }
        let lanes = self.form.lanes();
        let indices = &bytes[self.indices()..];
        // The end of an earlier region may lie anywhere until all are checked.
        let within = indices.get(start * lanes..end * lanes).ok_or("a sparse matrix has more steps than room")?;
        if within.iter().any(|index| usize::from(*index) >= width) {
            return Err("a column of a sparse matrix is beyond its last");
        }
        let mut found = [false; BLOCK];
        for row in &bytes[self.order() + region * BLOCK..][..BLOCK] {
            match found.get_mut(usize::from(*row)) {
                Some(seen) if !*seen => *seen = true,
                _ => return Err("a region of a sparse matrix does not have every row once"),
            }
        }
        Ok(())
    }

    /// One element of checked bytes.
    pub fn element(&self, bytes: &[u8], element: usize) -> f32 {
        let (row, column) = (element / self.columns as usize, element % self.columns as usize);
        let (tile, lanes) = (self.form.tile(), self.form.lanes());
        let region = row / BLOCK * self.tiles() + column / tile;
        let order = &bytes[self.order() + region * BLOCK..][..BLOCK];
        let place = order.iter().position(|r| usize::from(*r) == row % BLOCK).expect("every row is there once");
        let before: usize = (0..place / lanes).map(|slice| self.count(bytes, region, slice)).sum();
        let from = self.start(bytes, region) + before;
        let steps = from..from + self.count(bytes, region, place / lanes);
        let slots = steps.map(|step| step * lanes + place % lanes);
        let own = slots.filter(|slot| usize::from(bytes[self.indices() + slot]) == column % tile);
        own.map(|slot| f32::from_le_bytes(word(bytes, self.values() + slot * 4))).sum()
    }

    fn start(&self, bytes: &[u8], region: usize) -> usize {
        u32::from_le_bytes(word(bytes, region * 4)) as usize
    }

    fn count(&self, bytes: &[u8], region: usize, slice: usize) -> usize {
        let at = self.counts() + (region * self.slices() + slice) * 2;
        usize::from(u16::from_le_bytes([bytes[at], bytes[at + 1]]))
    }
}

/// Bytes of a step whose lanes take `each`.
fn form_bytes(form: Form, each: usize) -> usize {
    form.lanes() * each
}

fn word(bytes: &[u8], at: usize) -> [u8; 4] {
    bytes[at..at + 4].try_into().expect("a slice of 4 bytes")
}

/// The parts of a matrix while it is made.
#[derive(Default)]
struct Parts {
    starts: Vec<u32>,
    counts: Vec<u16>,
    order: Vec<u8>,
    values: Vec<f32>,
    indices: Vec<u8>,
}

impl Parts {
    fn region(&mut self, sparse: &Sparse, dense: Dense, block: usize, tile: usize) {
        let first = block * BLOCK;
        let rows = (sparse.rows as usize - first).min(BLOCK);
        let from = tile * sparse.form.tile();
        let width = (sparse.columns as usize - from).min(sparse.form.tile());
        let mut found: Vec<Vec<(u8, f32)>> = vec![Vec::new(); BLOCK];
        let mut visit = |row: usize, column: usize| {
            let number = dense.numbers[(first + row) * dense.by_row + dense.columns[from + column]];
            if number != 0.0 {
                found[row].push((column as u8, number));
            }
        };
        // Neighbours in memory one after another.
        if dense.by_row == 1 {
            (0..width).for_each(|column| (0..rows).for_each(|row| visit(row, column)));
        } else {
            (0..rows).for_each(|row| (0..width).for_each(|column| visit(row, column)));
        }
        let mut order: Vec<u8> = (0..BLOCK as u8).collect();
        order.sort_by_key(|row| std::cmp::Reverse(found[usize::from(*row)].len()));
        for slice in order.chunks(sparse.form.lanes()) {
            let rows: Vec<&[(u8, f32)]> = slice.iter().map(|row| &found[usize::from(*row)][..]).collect();
            let count = rows[0].len();
            self.counts.push(count as u16);
            let fill: Vec<(u8, f32)> = rows.iter().map(|row| (free(row), 0.0)).collect();
            for step in 0..count {
                for (row, fill) in rows.iter().zip(&fill) {
                    let (column, number) = row.get(step).unwrap_or(fill);
                    self.indices.push(*column);
                    self.values.push(*number);
                }
            }
        }
        self.order.extend(order);
        self.starts.push((self.values.len() / sparse.form.lanes()) as u32);
    }

    fn laid_out(&self, sparse: &Sparse) -> Vec<u8> {
        let mut all = vec![0; sparse.bytes() as usize];
        let mut put = |at: usize, part: &mut dyn Iterator<Item = u8>| {
            all[at..].iter_mut().zip(part).for_each(|(place, byte)| *place = byte);
        };
        put(0, &mut self.starts.iter().flat_map(|start| start.to_le_bytes()));
        put(sparse.counts(), &mut self.counts.iter().flat_map(|count| count.to_le_bytes()));
        put(sparse.order(), &mut self.order.iter().copied());
        put(sparse.values(), &mut self.values.iter().flat_map(|value| value.to_le_bytes()));
        put(sparse.indices(), &mut self.indices.iter().copied());
        all
    }
}

/// The first column that a row, sorted by columns, has no number in; 0 where it has all.
fn free(row: &[(u8, f32)]) -> u8 {
    let gap = row.iter().zip(0..).position(|((column, _), place)| usize::from(*column) != place);
    let gap = gap.unwrap_or(row.len());
    // A row shorter than its tile has a gap within it; one as long is never filled up.
    u8::try_from(gap).unwrap_or(0)
}
