//! A reader of Python pickles that executes nothing: it knows the opcodes that tensors are saved with, and builds a table
//! of plain values; a call stays the record of a call (Python, Lib/pickletools.py).
//! Invariant: a value is stored once and named by its place, so memory is bounded by the length of the pickle, whatever
//! its memo does; the table may be cyclic, and who walks it visits each value once.

use std::collections::HashMap;

/// The place of a value in its table.
pub(super) type Id = usize;

/// A value, as far as tensors need it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value<'a> {
    None,
    Bool(bool),
    Int(i64),
    /// A number of more than 64 bits, little-endian.
    Long(&'a [u8]),
    Float,
    Str(&'a str),
    Bytes,
    Tuple(Vec<Id>),
    List(Vec<Id>),
    Dict(Vec<(Id, Id)>),
    /// A name of a module, never looked up.
    Global(&'a str, &'a str),
    /// A call that is not made: what would be called, with what.
    Call(Id, Id),
    /// A reference to data outside of the pickle.
    Persistent(Id),
}

/// Why a pickle is refused, and at which of its bytes.
#[derive(Debug)]
pub(super) struct PickleError {
    pub(super) at: usize,
    pub(super) what: String,
    /// Whether it is whole, but names what is not allowed.
    pub(super) foreign: bool,
}

/// All values of a pickle.
#[derive(Debug)]
pub(super) struct Pickle<'a> {
    values: Vec<Value<'a>>,
    pub(super) root: Id,
    /// Bytes up to and with its stop.
    pub(super) len: usize,
}

impl<'a> Pickle<'a> {
    /// Reads one pickle; `allowed` says which names may occur in it.
    pub(super) fn read(bytes: &'a [u8], allowed: fn(&str, &str) -> bool) -> Result<Pickle<'a>, PickleError> {
        let mut machine = Machine {
            bytes,
            at: 0,
            values: vec![],
            stack: vec![],
            marks: vec![],
            memo: HashMap::new(),
            allowed,
            foreign: false,
        };
        loop {
            let at = machine.at;
            match machine.step() {
                Ok(None) => {}
                Ok(Some(root)) => return Ok(Pickle { values: machine.values, root, len: machine.at }),
                Err(what) => return Err(PickleError { at, what, foreign: machine.foreign }),
            }
        }
    }

    /// A value of this pickle.
    pub(super) fn get(&self, id: Id) -> &Value<'a> {
        &self.values[id]
    }

    /// Every value with its place, in the order they were made.
    pub(super) fn values(&self) -> &[Value<'a>] {
        &self.values
    }

    /// The members of a tuple.
    pub(super) fn tuple(&self, id: Id) -> Option<&[Id]> {
        if let Value::Tuple(items) = self.get(id) { Some(items) } else { None }
    }

    /// A number that is not negative.
    pub(super) fn size(&self, id: Id) -> Option<usize> {
        if let Value::Int(v) = self.get(id) { usize::try_from(*v).ok() } else { None }
    }

    /// A tuple or list of numbers that are not negative, or a call of one (`torch.Size`).
    pub(super) fn sizes(&self, id: Id) -> Option<Vec<usize>> {
        let id = match self.get(id) {
            Value::Call(_, arguments) => *self.tuple(*arguments)?.first()?,
            _ => id,
        };
        match self.get(id) {
            Value::Tuple(items) | Value::List(items) => items.iter().map(|item| self.size(*item)).collect(),
            _ => None,
        }
    }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    values: Vec<Value<'a>>,
    stack: Vec<Id>,
    marks: Vec<usize>,
    memo: HashMap<u64, Id>,
    allowed: fn(&str, &str) -> bool,
    foreign: bool,
}

type Step<T> = Result<T, String>;

impl<'a> Machine<'a> {
    /// Runs one opcode; the root once it says stop.
    fn step(&mut self) -> Step<Option<Id>> {
        let opcode = self.take(1)?[0];
        match opcode {
            b'.' => return self.pop().map(Some),
            0x80 => {
                self.take(1)?;
            }
            0x95 => {
                self.take(8)?;
            }
            b'(' => self.marks.push(self.stack.len()),
            b'0' => {
                self.pop()?;
            }
            b'q' | b'r' | 0x94 | b'h' | b'j' => self.remember(opcode)?,
            b'c' | 0x93 => self.global(opcode)?,
            b'R' => {
                let (arguments, callee) = (self.pop()?, self.pop()?);
                let call = self.call(callee, arguments);
                self.push(call);
            }
            b'Q' => {
                let reference = self.pop()?;
                self.push(Value::Persistent(reference));
            }
            b'b' => {
                self.pop()?;
            }
            b's' | b'u' | b'a' | b'e' => self.fill(opcode)?,
            b't' | 0x85..=0x87 | b')' | b']' | b'}' => self.container(opcode)?,
            _ => {
                let value = self.literal(opcode)?;
                self.push(value);
            }
        }
        Ok(None)
    }

    fn literal(&mut self, opcode: u8) -> Step<Value<'a>> {
        Ok(match opcode {
            b'N' => Value::None,
            0x88 => Value::Bool(true),
            0x89 => Value::Bool(false),
            b'K' => Value::Int(self.number(1)? as i64),
            b'M' => Value::Int(self.number(2)? as i64),
            b'J' => Value::Int((self.number(4)? as i32).into()),
            0x8a => self.long()?,
            b'G' => {
                self.take(8)?;
                Value::Float
            }
            b'X' | 0x8c | 0x8d => {
                let count = self.number(if opcode == b'X' { 4 } else { usize::from(opcode == 0x8d) * 7 + 1 })?;
                let text = self.take(count)?;
                Value::Str(std::str::from_utf8(text).map_err(|_| "a text is not UTF-8")?)
            }
            b'U' | b'C' | b'T' | b'B' => {
                let count = self.number(if matches!(opcode, b'U' | b'C') { 1 } else { 4 })?;
                self.take(count)?;
                Value::Bytes
            }
            _ => return Err(format!("opcode 0x{opcode:02x} is not one that tensors are saved with")),
        })
    }

    /// A signed number behind its length.
    fn long(&mut self) -> Step<Value<'a>> {
        let bytes = self.number(1)?;
        let bytes = self.take(bytes)?;
        let negative = bytes.last().is_some_and(|byte| *byte >= 0x80);
        let mut word = [if negative { 0xff } else { 0 }; 8];
        Ok(match word.get_mut(..bytes.len()) {
            Some(low) => {
                low.copy_from_slice(bytes);
                Value::Int(i64::from_le_bytes(word))
            }
            None => Value::Long(bytes),
        })
    }

    fn remember(&mut self, opcode: u8) -> Step<()> {
        let key = match opcode {
            b'q' | b'h' => self.number(1)?,
            b'r' | b'j' => self.number(4)?,
            _ => self.memo.len() as u64,
        };
        if matches!(opcode, b'h' | b'j') {
            self.stack.push(*self.memo.get(&key).ok_or("a reference to nothing")?);
        } else {
            self.memo.insert(key, *self.stack.last().ok_or("an empty stack")?);
        }
        Ok(())
    }

    fn global(&mut self, opcode: u8) -> Step<()> {
        let (module, name) = if opcode == b'c' {
            (self.line()?, self.line()?)
        } else {
            let (name, module) = (self.pop()?, self.pop()?);
            match (&self.values[module], &self.values[name]) {
                (Value::Str(module), Value::Str(name)) => (*module, *name),
                _ => return Err("a name that is no text".into()),
            }
        };
        if !(self.allowed)(module, name) {
            self.foreign = true;
            return Err(format!("it names {module}.{name}, which is no part of a tensor").escape_debug().to_string());
        }
        self.push(Value::Global(module, name));
        Ok(())
    }

    /// An ordered dict is made as a dict; every other call stays one.
    fn call(&self, callee: Id, arguments: Id) -> Value<'a> {
        match self.values[callee] {
            Value::Global("collections", "OrderedDict") => Value::Dict(vec![]),
            _ => Value::Call(callee, arguments),
        }
    }

    fn container(&mut self, opcode: u8) -> Step<()> {
        let value = match opcode {
            b']' => Value::List(vec![]),
            b'}' => Value::Dict(vec![]),
            b')' => Value::Tuple(vec![]),
            b't' => Value::Tuple(self.pop_mark()?),
            _ => {
                let from = self.stack.len().checked_sub(usize::from(opcode - 0x84)).ok_or("an empty stack")?;
                Value::Tuple(self.stack.split_off(from))
            }
        };
        self.push(value);
        Ok(())
    }

    fn fill(&mut self, opcode: u8) -> Step<()> {
        let items = match opcode {
            b'a' => vec![self.pop()?],
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                vec![key, value]
            }
            _ => self.pop_mark()?,
        };
        let target = *self.stack.last().ok_or("an empty stack")?;
        match &mut self.values[target] {
            Value::List(list) if matches!(opcode, b'a' | b'e') => list.extend(items),
            Value::Dict(pairs) if matches!(opcode, b's' | b'u') && items.len().is_multiple_of(2) => {
                pairs.extend(items.chunks_exact(2).map(|pair| (pair[0], pair[1])));
            }
            _ => return Err("a value is filled that is no list or dict".into()),
        }
        Ok(())
    }

    fn push(&mut self, value: Value<'a>) {
        self.stack.push(self.values.len());
        self.values.push(value);
    }

    fn pop(&mut self) -> Step<Id> {
        self.stack.pop().ok_or_else(|| "an empty stack".into())
    }

    fn pop_mark(&mut self) -> Step<Vec<Id>> {
        let mark = self.marks.pop().filter(|mark| *mark <= self.stack.len()).ok_or("a mark is missing")?;
        Ok(self.stack.split_off(mark))
    }

    fn take(&mut self, count: impl TryInto<usize>) -> Step<&'a [u8]> {
        let end = count.try_into().ok().and_then(|count| self.at.checked_add(count));
        let bytes = end.and_then(|end| self.bytes.get(self.at..end)).ok_or("it is cut short")?;
        self.at += bytes.len();
        Ok(bytes)
    }

    fn number(&mut self, bytes: usize) -> Step<u64> {
        let mut word = [0; 8];
        word[..bytes].copy_from_slice(self.take(bytes)?);
        Ok(u64::from_le_bytes(word))
    }

    fn line(&mut self) -> Step<&'a str> {
        let rest = &self.bytes[self.at..];
        let count = rest.iter().position(|byte| *byte == b'\n').ok_or("it is cut short")?;
        let line = std::str::from_utf8(self.take(count)?).map_err(|_| "a name is not UTF-8")?;
        self.take(1usize)?;
        Ok(line)
    }
}
