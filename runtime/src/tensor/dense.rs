//! The tensor: dtype, shape, bytes. Cloning shares the bytes; the first write to a shared one copies them.

use super::buffer::Buffer;
use super::element::{Element, load, store};
use super::error::{TensorError, sizes};
use mlc_codegen::base::{DType, Scalar};
use std::fmt;
use std::sync::Arc;

/// A dense row-major tensor that owns its bytes, 64-byte aligned; 4-bit elements lie two to a byte, low nibble first.
/// Two are equal when dtype, shape and bits are.
#[derive(Clone)]
pub struct Tensor {
    dtype: DType,
    shape: Vec<usize>,
    len: usize,
    buffer: Arc<Buffer>,
}

impl Tensor {
    /// A tensor over a copy of little-endian `bytes`, as many as the shape takes. A byte of a `bool` other than 0 becomes 1.
    ///
    /// # Errors
    /// The product of the dims leaves 64 bits, `bytes` has another length, or memory is short.
    pub fn new(dtype: DType, shape: impl AsRef<[usize]>, bytes: &[u8]) -> Result<Tensor, TensorError> {
        let shape = shape.as_ref().to_vec();
        let (len, expected) = sizes(dtype, &shape)?;
        if bytes.len() != expected {
            return Err(TensorError::Length { dtype, shape, expected, found: bytes.len(), unit: "bytes" });
        }
        let Some(mut buffer) = Buffer::copied(bytes) else {
            return Err(TensorError::OutOfMemory { dtype, shape, bytes: expected });
        };
        match dtype {
            DType::Bool => buffer.bytes_mut().iter_mut().for_each(|byte| *byte = u8::from(*byte != 0)),
            DType::I4 | DType::U4 if len % 2 == 1 => buffer.bytes_mut()[len / 2] &= 0xf,
            _ => {}
        }
        Ok(Tensor { dtype, shape, len, buffer: Arc::new(buffer) })
    }

    /// A tensor of zeros (`false`).
    ///
    /// # Errors
    /// The product of the dims leaves 64 bits, or memory is short.
    pub fn zeros(dtype: DType, shape: impl AsRef<[usize]>) -> Result<Tensor, TensorError> {
        let shape = shape.as_ref().to_vec();
        let (len, bytes) = sizes(dtype, &shape)?;
        match Buffer::zeroed(bytes) {
            Some(buffer) => Ok(Tensor { dtype, shape, len, buffer: Arc::new(buffer) }),
            None => Err(TensorError::OutOfMemory { dtype, shape, bytes }),
        }
    }

    /// A tensor of the elements' own dtype.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn from_elements<T: Element>(shape: impl AsRef<[usize]>, elements: &[T]) -> Result<Tensor, TensorError> {
        let shape = shape.as_ref().to_vec();
        let (len, _) = sizes(T::DTYPE, &shape)?;
        if elements.len() != len {
            let found = elements.len();
            return Err(TensorError::Length { dtype: T::DTYPE, shape, expected: len, found, unit: "elements" });
        }
        Tensor::new(T::DTYPE, shape, bytemuck::cast_slice(elements))
    }

    /// A tensor of f32.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn from_f32(shape: impl AsRef<[usize]>, elements: impl AsRef<[f32]>) -> Result<Tensor, TensorError> {
        Tensor::from_elements(shape, elements.as_ref())
    }

    /// A tensor of i64.
    ///
    /// # Errors
    /// As [`Tensor::new`].
    pub fn from_i64(shape: impl AsRef<[usize]>, elements: impl AsRef<[i64]>) -> Result<Tensor, TensorError> {
        Tensor::from_elements(shape, elements.as_ref())
    }

    /// A tensor of `dtype` whose element `i` is `element(i)`, converted as [`Tensor::set`] does.
    ///
    /// # Errors
    /// As [`Tensor::zeros`].
    pub fn from_fn(
        dtype: DType,
        shape: impl AsRef<[usize]>,
        mut element: impl FnMut(usize) -> Scalar,
    ) -> Result<Tensor, TensorError> {
        let mut tensor = Tensor::zeros(dtype, shape)?;
        let len = tensor.len;
        let bytes = tensor.bytes_mut();
        (0..len).for_each(|i| store(dtype, bytes, i, element(i)));
        Ok(tensor)
    }

    /// A tensor without axes.
    pub fn scalar(dtype: DType, value: Scalar) -> Tensor {
        Tensor::from_fn(dtype, [], |_| value).expect("a few bytes")
    }

    /// The element type.
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// The dims, outermost first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// How many elements.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether a dim is 0.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// All bytes, little-endian.
    pub fn bytes(&self) -> &[u8] {
        self.buffer.bytes()
    }

    /// All bytes, to write. Each byte of a `bool` must stay 0 or 1, and the nibble behind an odd 4-bit count 0.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        Arc::make_mut(&mut self.buffer).bytes_mut()
    }

    /// The elements, when they are of type `T` (`u8` also views `bool`).
    pub fn as_slice<T: Element>(&self) -> Option<&[T]> {
        T::views(self.dtype).then(|| bytemuck::cast_slice(self.bytes()))
    }

    /// The elements to write, when they are of type `T`.
    pub fn as_mut_slice<T: Element>(&mut self) -> Option<&mut [T]> {
        T::views(self.dtype).then(|| bytemuck::cast_slice_mut(self.bytes_mut()))
    }

    /// Element `i` in row-major order, in the compute type. Panics when there is none.
    pub fn get(&self, i: usize) -> Scalar {
        assert!(i < self.len, "element {i} of {self:?}");
        load(self.dtype, self.bytes(), i)
    }

    /// Writes element `i`: `value` in the compute type, then narrowed; integers wrap, floats round to nearest even, and
    /// a float becomes an integer as in `cast`. Panics when there is no such element.
    pub fn set(&mut self, i: usize, value: Scalar) {
        assert!(i < self.len, "element {i} of {self:?}");
        store(self.dtype, self.bytes_mut(), i, value);
    }

    /// Writes element `i` from an f64: rounded to nearest even, or as in `cast` where the dtype is an integer. Panics when
    /// there is no such element.
    pub fn set_f64(&mut self, i: usize, value: f64) {
        self.set(i, Scalar::F64(value));
    }

    /// Element `i` as f64; exact except for large i64. Panics when there is none.
    pub fn get_f64(&self, i: usize) -> f64 {
        self.get(i).as_f64()
    }

    /// All elements in row-major order, in the compute type.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Scalar> + '_ {
        let bytes = self.bytes();
        (0..self.len).map(move |i| load(self.dtype, bytes, i))
    }

    /// All elements as f64; exact except for large i64.
    pub fn to_f64_vec(&self) -> Vec<f64> {
        self.iter().map(Scalar::as_f64).collect()
    }

    /// All elements as f32, rounded where they are wider.
    pub fn to_f32_vec(&self) -> Vec<f32> {
        match self.as_slice::<f32>() {
            Some(elements) => elements.to_vec(),
            None => self.iter().map(|value| value.as_f64() as f32).collect(),
        }
    }

    /// The same values in another dtype: integers wrap, floats round to nearest even, float to integer truncates and
    /// saturates (NaN to 0), anything but 0 is `true`.
    ///
    /// # Errors
    /// The wider tensor leaves 64 bits or memory is short.
    pub fn cast(&self, dtype: DType) -> Result<Tensor, TensorError> {
        if dtype == self.dtype {
            return Ok(self.clone());
        }
        let bytes = self.bytes();
        Tensor::from_fn(dtype, &self.shape, |i| load(self.dtype, bytes, i))
    }

    /// The same elements under another shape of as many.
    ///
    /// # Errors
    /// The shape takes another number of elements.
    pub fn reshape(mut self, shape: impl AsRef<[usize]>) -> Result<Tensor, TensorError> {
        let shape = shape.as_ref().to_vec();
        let (expected, _) = sizes(self.dtype, &shape)?;
        if expected != self.len {
            let (dtype, found) = (self.dtype, self.len);
            return Err(TensorError::Length { dtype, shape, expected, found, unit: "elements" });
        }
        self.shape = shape;
        Ok(self)
    }
}

impl PartialEq for Tensor {
    fn eq(&self, other: &Tensor) -> bool {
        let shared = Arc::ptr_eq(&self.buffer, &other.buffer);
        self.dtype == other.dtype && self.shape == other.shape && (shared || self.bytes() == other.bytes())
    }
}

impl Eq for Tensor {}

/// Dtype, shape and the first few elements.
impl fmt::Debug for Tensor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{:?} [", self.dtype, self.shape)?;
        for (i, value) in self.iter().take(6).enumerate() {
            let comma = if i == 0 { "" } else { ", " };
            match value {
                Scalar::Bool(v) => write!(f, "{comma}{v}")?,
                Scalar::F64(v) => write!(f, "{comma}{v}")?,
                Scalar::F32(v) => write!(f, "{comma}{v}")?,
                other => write!(f, "{comma}{}", other.as_i64())?,
            }
        }
        f.write_str(if self.len > 6 { ", …]" } else { "]" })
    }
}

#[cfg(test)]
mod tests {
    use super::Tensor;
    use crate::tensor::TensorError;
    use mlc_codegen::base::{DType, Scalar};

    #[test]
    fn elements_narrow_as_the_language_says() {
        let x = Tensor::from_f32([6], [1.5, -1.5, 300.0, -300.0, f32::NAN, 2.0f32.powi(40)]).expect("six");
        let cast = |dtype| x.cast(dtype).expect("small").iter().map(Scalar::as_i64).collect::<Vec<_>>();
        assert_eq!(cast(DType::I8), [1, -1, 127, -128, 0, 127]);
        assert_eq!(cast(DType::U4), [1, 0, 15, 0, 0, 15]);
        assert_eq!(cast(DType::I32), [1, -1, 300, -300, 0, i64::from(i32::MAX)]);
        assert_eq!(cast(DType::Bool), [1; 6]);
        let wide = Tensor::from_i64([3], [200, -9, 7]).expect("three");
        assert_eq!(wide.cast(DType::I8).expect("small").as_slice::<i8>(), Some(&[-56, -9, 7][..]));
        assert_eq!(wide.cast(DType::I4).expect("small").to_f64_vec(), [-8.0, 7.0, 7.0]);
        let ties = Tensor::from_f32([2], [1.0 + 2.0f32.powi(-8), 1.0 + 3.0 * 2.0f32.powi(-8)]).expect("two");
        assert_eq!(ties.cast(DType::BF16).expect("small").to_f64_vec(), [1.0, 1.0 + 2.0f64.powi(-6)]);
        let big = Tensor::from_i64([1], [(1 << 53) + 1]).expect("one");
        assert_eq!(big.get(0), Scalar::I64((1 << 53) + 1));
    }

    #[test]
    fn nibbles_lie_low_first() {
        let mut t = Tensor::new(DType::I4, [3], &[0x7f, 0xf8]).expect("three nibbles");
        assert_eq!(t.to_f64_vec(), [-1.0, 7.0, -8.0]);
        t.set(1, Scalar::I32(-2));
        assert_eq!(t.bytes(), [0xef, 0x08]);
    }

    #[test]
    fn clones_share_until_written() {
        let a = Tensor::zeros(DType::F32, [2, 3]).expect("small");
        let mut b = a.clone();
        assert_eq!(a.bytes().as_ptr(), b.bytes().as_ptr());
        b.set(5, Scalar::F32(1.0));
        assert_ne!(a, b);
        assert_eq!(a.bytes().as_ptr() as usize % 64, 0);
        assert_eq!(format!("{b:?}"), "f32[2, 3] [0, 0, 0, 0, 0, 1]");
    }

    #[test]
    fn impossible_shapes_are_errors() {
        let overflow = |shape: &[usize]| matches!(Tensor::zeros(DType::F32, shape), Err(TensorError::Overflow { .. }));
        assert!(overflow(&[usize::MAX]));
        assert!(overflow(&[1 << 40, 1 << 40]));
        assert!(overflow(&[1 << 40, 0, 1 << 40]));
        assert_eq!(Tensor::zeros(DType::F32, [3, 0]).expect("legal").len(), 0);
        assert!(matches!(Tensor::new(DType::F32, [2], &[0; 7]), Err(TensorError::Length { expected: 8, .. })));
        assert!(matches!(Tensor::from_f32([2], [1.0]), Err(TensorError::Length { expected: 2, .. })));
    }
}
