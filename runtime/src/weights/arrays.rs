//! numpy's files: one array by itself, or an archive of them.
//! Invariant: an array's bytes end exactly where its file or member does.

use super::archive::{Archive, Member};
use super::error::Fault;
use super::file::{Entry, Headers, Place};
use super::npy;
use super::source::Source;
use mlc_codegen::base::Storage;

/// The one array of a `.npy` file, under that name.
pub(super) fn npy_headers(source: &Source, name: String) -> Result<Headers, Fault> {
    let array = npy::parse(source.reader(), 0)?;
    let place = Place { part: 0, member: None, start: array.start, len: array.bytes };
    let mut headers = Headers::default();
    add_array(&mut headers, name, array, place, source.len())?;
    Ok(headers)
}

/// The arrays of a `.npz` archive, without `.npy` behind their names.
pub(super) fn npz_headers(archive: &Archive) -> Result<Headers, Fault> {
    let mut headers = Headers::default();
    for (index, member) in archive.members().iter().enumerate() {
        let Member { name, size, .. } = member;
        if name.ends_with('/') {
            continue;
        }
        let array = archive.open_member(index, |reader| npy::parse(reader, member.start))?;
        let place = Place { part: 0, member: Some(index), start: array.start, len: array.bytes };
        let key = name.strip_suffix(".npy").unwrap_or(name).to_owned();
        add_array(&mut headers, key, array, place, *size)?;
    }
    Ok(headers)
}

fn add_array(headers: &mut Headers, name: String, array: npy::Array, place: Place, size: u64) -> Result<(), Fault> {
    let (dtype, conversion) = match array.element {
        Ok(element) => element,
        Err(word) => {
            headers.foreign.insert(name, word);
            return Ok(());
        }
    };
    let found = size.saturating_sub(array.start);
    if found != array.bytes {
        let what = format!("{dtype}{:?} takes {} bytes, found {found}", array.shape, array.bytes);
        return Err(Fault::tensor(&name, what));
    }
    let strides = array.fortran.then(|| column_major(&array.shape));
    let (storage, conversion) = (Storage::Plain(dtype), conversion.needed());
    headers.add(name, Entry { storage, shape: array.shape, place, conversion, strides })
}

/// Steps of a layout whose first axis is the fastest.
fn column_major(shape: &[usize]) -> Vec<usize> {
    shape.iter().scan(1usize, |step, dim| Some(std::mem::replace(step, step.saturating_mul(*dim)))).collect()
}
