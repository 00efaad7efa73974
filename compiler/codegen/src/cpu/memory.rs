//! Elements in memory: single ones through guards and storage formats, rows of lanes where neighbours lie together.

use super::address::{Motion, is_guarded_along, motion};
use super::arithmetic::{Arithmetic, Shift};
use super::clif::{Parts, little_endian, proved, scalar_type, vector_type, wide};
use super::driver::Driver;
use super::nest::Lanes;
use super::{expr, lanes, rounding};
use crate::base::{DType, Scalar, Storage};
use crate::kernel::{Access, Binary, Compare, Store};
use cranelift_codegen::ir::types::{F32, F64, I8, I16, I32, I64, I64X2};
use cranelift_codegen::ir::{InstBuilder, Value};

impl Driver<'_, '_> {
    /// What an access reads here, for each lane.
    pub(super) fn load(&mut self, access: &Access) -> Parts {
        let Some(lanes) = self.lanes else { return Parts::one(self.load_one(access)) };
        let storage = self.kernel.buffer(access.buffer).storage;
        match motion(self.kernel, access, lanes.axis) {
            Motion::Fixed => unreachable!("what does not vary is loaded once"),
            Motion::Step(step) if matches!(storage, Storage::Plain(d) if d.bits() >= 8) => {
                let Storage::Plain(dtype) = storage else { unreachable!("matched above") };
                let (element, inside) = self.element(access, Some((lanes.axis, lanes.count as i64)));
                let together = |d: &mut Self| {
                    let at = d.address(access, element);
                    if step.as_constant() == Some(1) {
                        d.load_row(dtype, at, lanes.count)
                    } else {
                        let bytes = step.clone() * i64::from(dtype.bits() / 8);
                        let bytes = d.dim(&bytes);
                        d.load_strided(dtype, at, bytes, lanes.count)
                    }
                };
                let Some(inside) = inside else { return together(self) };
                let compute = dtype.compute();
                let count = self.vector(lanes.count).part_count(compute);
                let kinds = vec![vector_type(compute); count];
                let values = self.either(inside, &kinds, &mut |d| together(d).all().to_vec(), &mut |d| {
                    d.gather(access, lanes).all().to_vec()
                });
                Parts::new(values)
            }
            _ => self.gather(access, lanes),
        }
    }

    /// One element, in the compute type.
    pub(super) fn load_one(&mut self, access: &Access) -> Value {
        let (element, inside) = self.element(access, None);
        let Some(inside) = inside else { return self.load_element(access, element) };
        let kind = scalar_type(access.fill.dtype());
        let fill = access.fill;
        self.either(inside, &[kind], &mut |d| vec![d.load_element(access, element)], &mut |d| {
            vec![d.single().constant(fill).scalar()]
        })[0]
    }

    fn load_element(&mut self, access: &Access, element: Value) -> Value {
        match self.kernel.buffer(access.buffer).storage {
            Storage::Packed(packing) => self.decode(packing, self.buffers[access.buffer.0 as usize], element),
            Storage::Interleaved(rows) => {
                self.decode_interleaved(rows, self.buffers[access.buffer.0 as usize], element)
            }
            Storage::Sparse(_) => unreachable!("sparse products have a lowering of their own"),
            Storage::Plain(dtype @ (DType::I4 | DType::U4)) => {
                let byte = self.b.ins().sshr_imm_s(element, 1);
                let at = self.offset(self.buffers[access.buffer.0 as usize], byte);
                let pair = self.b.ins().uload8(I32, proved(), at, 0);
                let odd = self.b.ins().band_imm_s(element, 1);
                let shift = self.b.ins().ishl_imm_s(odd, 2);
                let nibble = self.b.ins().ushr(pair, shift);
                rounding::wrap(&mut self.single(), dtype, Parts::one(nibble)).scalar()
            }
            Storage::Plain(dtype) => {
                let at = self.address(access, element);
                self.load_number(dtype, at)
            }
        }
    }

    /// A number of a plain type at an address.
    pub(super) fn load_number(&mut self, dtype: DType, at: Value) -> Value {
        match dtype {
            DType::F64 => self.read(F64, at, 0),
            DType::F32 => self.read(F32, at, 0),
            DType::I64 => self.read(I64, at, 0),
            DType::I32 => self.read(I32, at, 0),
            DType::I16 => self.b.ins().sload16(I32, proved(), at, 0),
            DType::I8 => self.b.ins().sload8(I32, proved(), at, 0),
            DType::U8 => self.b.ins().uload8(I32, proved(), at, 0),
            DType::F16 | DType::BF16 => {
                let bits = self.b.ins().uload16(I32, proved(), at, 0);
                rounding::widen(&mut self.single(), dtype, Parts::one(bits)).scalar()
            }
            DType::Bool => {
                let byte = self.read(I8, at, 0);
                let zero = Parts::one(self.b.ins().iconst(I8, 0));
                self.single().compare(Compare::Ne, DType::Bool, Parts::one(byte), zero).scalar()
            }
            DType::I4 | DType::U4 => unreachable!("nibbles have no address"),
        }
    }

    /// The address of an element of whole bytes.
    pub(super) fn address(&mut self, access: &Access, element: Value) -> Value {
        let Storage::Plain(dtype) = self.kernel.buffer(access.buffer).storage else {
            unreachable!("packed elements have no address")
        };
        let bytes = self.times(element, i64::from(dtype.bits() / 8));
        self.offset(self.buffers[access.buffer.0 as usize], bytes)
    }

    /// Consecutive elements of a plain type.
    pub(super) fn load_row(&mut self, dtype: DType, at: Value, count: usize) -> Parts {
        let halves = |d: &mut Self, each: usize, load: &mut dyn FnMut(&mut Self, i32) -> Value| {
            Parts::new((0..count / each).map(|i| load(d, i as i32)).collect::<Vec<_>>())
        };
        match dtype {
            DType::F64 | DType::I64 | DType::F32 | DType::I32 => {
                let each = if wide(dtype) { 2 } else { 4 };
                halves(self, each, &mut |d, i| d.read(vector_type(dtype), at, i * 16))
            }
            DType::F16 | DType::BF16 => {
                let bits = halves(self, 4, &mut |d, i| d.b.ins().uload16x4(proved(), at, i * 8));
                rounding::widen(&mut self.vector(count), dtype, bits)
            }
            DType::I16 => halves(self, 4, &mut |d, i| d.b.ins().sload16x4(proved(), at, i * 8)),
            DType::I8 | DType::U8 | DType::Bool => {
                let mut words = Vec::new();
                for i in 0..count as i32 / 8 {
                    let [low, high] = match dtype {
                        DType::I8 => {
                            let halves = self.b.ins().sload8x8(proved(), at, i * 8);
                            [self.b.ins().swiden_low(halves), self.b.ins().swiden_high(halves)]
                        }
                        _ => {
                            let halves = self.b.ins().uload8x8(proved(), at, i * 8);
                            [self.b.ins().uwiden_low(halves), self.b.ins().uwiden_high(halves)]
                        }
                    };
                    words.extend([low, high]);
                }
                let words = Parts::new(words);
                if dtype != DType::Bool {
                    return words;
                }
                let mut e = self.vector(count);
                let zero = e.constant(Scalar::I32(0));
                e.compare(Compare::Ne, DType::I32, words, zero)
            }
            DType::I4 | DType::U4 => unreachable!("nibbles are gathered"),
        }
    }

    fn load_strided(&mut self, dtype: DType, at: Value, bytes: Value, count: usize) -> Parts {
        let mut numbers = Vec::new();
        let mut at = at;
        for lane in 0..count {
            if lane > 0 {
                at = self.offset(at, bytes);
            }
            numbers.push(self.load_number(dtype, at));
        }
        lanes::collect(&mut self.b, dtype.compute(), &numbers)
    }

    /// Lane after lane, through guards and computed coordinates.
    fn gather(&mut self, access: &Access, lanes: Lanes) -> Parts {
        let dtype = access.fill.dtype();
        let width = if wide(dtype) { 8 } else { 4 };
        let stack = self.stack(lanes.count * width as usize);
        self.each_lane(lanes, &mut |d, lane| {
            let mut value = d.load_one(access);
            if dtype == DType::Bool {
                let word = d.b.ins().uextend(I32, value);
                value = d.b.ins().ineg(word);
            }
            let bytes = d.times(lane, width);
            let at = d.offset(stack, bytes);
            d.write(value, at, 0);
        });
        let kind = vector_type(dtype);
        let count = self.vector(lanes.count).part_count(dtype) as i32;
        Parts::new((0..count).map(|i| self.read(kind, stack, i * 16)).collect::<Vec<_>>())
    }

    /// Runs `body` for each lane as a single point.
    fn each_lane(&mut self, lanes: Lanes, body: &mut dyn FnMut(&mut Self, Value)) {
        let start = self.positions[lanes.axis.0 as usize].expect("the vector axis is bound");
        let saved = self.values.clone();
        let varies = std::mem::replace(&mut self.varies, vec![false; saved.len()]);
        for (value, varies) in self.values.iter_mut().zip(&varies) {
            if *varies {
                *value = None;
            }
        }
        self.lanes = None;
        let (zero, count) = (self.integer(0), self.integer(lanes.count as i64));
        let kept = self.values.clone();
        self.each(zero, count, 1, &mut |d, lane| {
            d.positions[lanes.axis.0 as usize] = Some(d.b.ins().iadd(start, lane));
            d.values.clone_from(&kept);
            body(d, lane);
        });
        self.positions[lanes.axis.0 as usize] = Some(start);
        (self.values, self.varies, self.lanes) = (saved, varies, Some(lanes));
    }

    /// Writes what a store says here, for each lane.
    pub(super) fn store(&mut self, store: &Store) {
        let value = self.value(store.value);
        let from = self.types.of(store.value);
        let access = &store.access;
        let Storage::Plain(dtype) = self.kernel.buffer(access.buffer).storage else {
            unreachable!("packed buffers are never written")
        };
        let Some(lanes) = self.lanes else {
            let value = expr::convert(&mut self.single(), from, dtype, value).scalar();
            return self.store_one(access, dtype, value);
        };
        let value = expr::convert(&mut self.vector(lanes.count), from, dtype, value);
        let unit =
            matches!(motion(self.kernel, access, lanes.axis), Motion::Step(step) if step.as_constant() == Some(1));
        if !unit {
            return self.scatter(access, dtype, value, lanes);
        }
        let (element, inside) = self.element(access, Some((lanes.axis, lanes.count as i64)));
        let mut together = |d: &mut Self| {
            let at = d.address(access, element);
            d.store_row(dtype, at, value, lanes.count);
        };
        match inside {
            None => together(self),
            Some(inside) if is_guarded_along(self.kernel, access, lanes.axis) => {
                let write = &mut |d: &mut Self| {
                    together(d);
                    vec![]
                };
                self.either(inside, &[], write, &mut |d| {
                    d.scatter(access, dtype, value, lanes);
                    vec![]
                });
            }
            Some(inside) => self.when(inside, &mut together),
        }
    }

    fn store_one(&mut self, access: &Access, dtype: DType, value: Value) {
        let (element, inside) = self.element(access, None);
        let mut write = |d: &mut Self| {
            let at = d.address(access, element);
            d.store_number(dtype, at, value);
        };
        match inside {
            None => write(self),
            Some(inside) => self.when(inside, &mut write),
        }
    }

    /// Writes a number that is already rounded or wrapped to the type.
    fn store_number(&mut self, dtype: DType, at: Value, value: Value) {
        match dtype {
            DType::F16 | DType::BF16 => {
                let bits = rounding::narrow(&mut self.single(), dtype, Parts::one(value)).scalar();
                let bits = self.b.ins().ireduce(I16, bits);
                self.write(bits, at, 0);
            }
            DType::I16 => {
                let bits = self.b.ins().ireduce(I16, value);
                self.write(bits, at, 0);
            }
            DType::I8 | DType::U8 => {
                let bits = self.b.ins().ireduce(I8, value);
                self.write(bits, at, 0);
            }
            _ => self.write(value, at, 0),
        }
    }

    /// Consecutive elements of a plain type, already rounded or wrapped to it.
    pub(super) fn store_row(&mut self, dtype: DType, at: Value, value: Parts, count: usize) {
        let words = match dtype {
            DType::F16 | DType::BF16 => rounding::narrow(&mut self.vector(count), dtype, value),
            DType::I16 | DType::I8 | DType::U8 => {
                let mut e = self.vector(count);
                let mask = e.constant(Scalar::I32(if dtype == DType::I16 { 0xffff } else { 0xff }));
                e.binary(Binary::And, DType::I32, value, mask)
            }
            DType::Bool => self.vector(count).shift(Shift::Logical, DType::I32, value, 31),
            _ => value,
        };
        if dtype.bits() >= 32 {
            for (i, part) in words.all().iter().enumerate() {
                self.write(*part, at, i as i32 * 16);
            }
            return;
        }
        for (i, pair) in words.all().chunks(2).enumerate() {
            let halves = self.b.ins().unarrow(pair[0], pair[1]);
            if dtype.bits() == 16 {
                self.write(halves, at, i as i32 * 16);
            } else {
                let bytes = self.b.ins().unarrow(halves, halves);
                let bytes = self.b.ins().bitcast(I64X2, little_endian(), bytes);
                let eight = self.b.ins().extractlane(bytes, 0);
                self.write(eight, at, i as i32 * 8);
            }
        }
    }

    /// Lane after lane.
    fn scatter(&mut self, access: &Access, dtype: DType, value: Parts, lanes: Lanes) {
        let compute = dtype.compute();
        let width = if wide(compute) { 8 } else { 4 };
        let stack = self.stack(lanes.count * width as usize);
        for (i, part) in value.all().iter().enumerate() {
            self.write(*part, stack, i as i32 * 16);
        }
        self.each_lane(lanes, &mut |d, lane| {
            let bytes = d.times(lane, width);
            let at = d.offset(stack, bytes);
            let number = match compute {
                DType::Bool => {
                    let word = d.read(I32, at, 0);
                    let bit = d.b.ins().band_imm_s(word, 1);
                    d.b.ins().ireduce(I8, bit)
                }
                _ => d.read(scalar_type(compute), at, 0),
            };
            d.store_one(access, dtype, number);
        });
    }
}
