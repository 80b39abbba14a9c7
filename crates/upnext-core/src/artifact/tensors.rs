//! Reads and writes named arrays as safetensors, streamed, so that an array is in memory only once.

use super::files::{Problem, quoted};
use crate::arrays::{Arrays, Tensor};
use crate::data::shortened_to;
use crate::{Error, Result};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use std::collections::BTreeMap;
use std::io::{self, Read, Write};

/// Number of bytes converted at a time.
const CHUNK: usize = 1 << 16;
/// The maximum size of a header in bytes: that of the safetensors format.
const MAX_HEADER: u64 = 100_000_000;

/// A file to write: its header, and the arrays in the order of their bytes.
pub(super) struct Plan<'a> {
    header: Vec<u8>,
    counts: Vec<&'a [u64]>,
    tensors: Vec<&'a [f32]>,
}

impl<'a> Plan<'a> {
    /// Plans a file of these arrays.
    ///
    /// # Errors
    /// [`Error::Weights`] for a name that is reserved or used twice, and for a shape that does not fit the values.
    pub(super) fn new(
        tensors: &'a BTreeMap<String, Tensor>,
        counts: &'a BTreeMap<String, Vec<u64>>,
    ) -> Result<Self> {
        let mut infos = Vec::new();
        let mut end = 0;
        let mut add = |name: &String, dtype, shape: Vec<usize>, bytes| {
            if name == "__metadata__" {
                return Err(Error::weights(name, "safetensors files reserve this name"));
            }
            infos.push((name.clone(), TensorInfo { dtype, shape, data_offsets: (end, end + bytes) }));
            end += bytes;
            Ok(())
        };
        // The format requires the larger elements first, so that all are aligned.
        for (name, values) in counts {
            add(name, Dtype::U64, vec![values.len()], 8 * values.len())?;
        }
        for (name, Tensor { shape, values }) in tensors {
            let elements = shape.iter().try_fold(1_usize, |product, &n| product.checked_mul(n));
            if elements != Some(values.len()) {
                return Err(Error::weights(name, format!("{} values have no shape {shape:?}", values.len())));
            }
            if counts.contains_key(name) {
                return Err(Error::weights(name, "both a tensor and an array of counts have this name"));
            }
            add(name, Dtype::F32, shape.clone(), 4 * values.len())?;
        }
        let refused = |reason: String| Error::weights("all parameters", reason);
        let metadata = Metadata::new(None, infos).map_err(|e| refused(e.to_string()))?;
        let mut header = serde_json::to_vec(&metadata).map_err(|e| refused(e.to_string()))?;
        header.resize(header.len().next_multiple_of(8), b' ');
        if header.len() as u64 > MAX_HEADER {
            return Err(refused("their names do not fit into a safetensors file".to_owned()));
        }
        Ok(Self {
            header,
            counts: counts.values().map(Vec::as_slice).collect(),
            tensors: tensors.values().map(|t| t.values.as_slice()).collect(),
        })
    }

    /// Writes the file.
    pub(super) fn write(&self, out: &mut (impl Write + ?Sized)) -> io::Result<()> {
        out.write_all(&(self.header.len() as u64).to_le_bytes())?;
        out.write_all(&self.header)?;
        for values in &self.counts {
            write_array(out, values, u64::to_le_bytes)?;
        }
        for values in &self.tensors {
            write_array(out, values, f32::to_le_bytes)?;
        }
        Ok(())
    }
}

fn write_array<T: Copy, const N: usize>(
    out: &mut (impl Write + ?Sized),
    values: &[T],
    to_bytes: impl Fn(T) -> [u8; N],
) -> io::Result<()> {
    let mut bytes = Vec::with_capacity(CHUNK);
    for values in values.chunks(CHUNK / N) {
        bytes.clear();
        values.iter().for_each(|&x| bytes.extend_from_slice(&to_bytes(x)));
        out.write_all(&bytes)?;
    }
    Ok(())
}

/// Reads a file of `size` bytes. No allocation is larger than the file, whatever its header says.
pub(super) fn read(input: &mut dyn Read, size: u64) -> std::result::Result<Arrays, Problem> {
    let damaged = |reason: &str| Problem::Damaged(reason.to_owned());
    let mut word = [0; 8];
    input.read_exact(&mut word)?;
    let header_size = u64::from_le_bytes(word);
    let Some(data_size) = size.checked_sub(8).and_then(|rest| rest.checked_sub(header_size)) else {
        return Err(damaged("it is no safetensors file, or truncated in its header"));
    };
    if header_size > MAX_HEADER {
        return Err(damaged("its header is larger than safetensors files may have"));
    }
    let mut header = Vec::new();
    input.take(header_size).read_to_end(&mut header)?;
    // Deserialising checks that the arrays are contiguous, each as large as its type and shape.
    let metadata: Metadata = serde_json::from_slice(&header).map_err(|error| {
        Problem::Damaged(format!(
            "its safetensors header is damaged ({})",
            shortened_to(&error.to_string(), 200)
        ))
    })?;
    if metadata.data_len() as u64 != data_size {
        let reason = format!("its header describes {} bytes, and {data_size} follow", metadata.data_len());
        return Err(Problem::Damaged(reason));
    }
    let mut arrays = Arrays::default();
    for name in metadata.offset_keys() {
        let Some(info) = metadata.info(&name) else { continue };
        let length = info.data_offsets.1 - info.data_offsets.0;
        match info.dtype {
            Dtype::F32 => {
                let values = read_array(input, length, f32::from_le_bytes)?;
                arrays.tensors.insert(name, Tensor { shape: info.shape.clone(), values });
            }
            Dtype::U64 => {
                if info.shape.len() != 1 {
                    let reason = format!("counts {} have the shape {:?}", quoted(&name), info.shape);
                    return Err(Problem::Damaged(shortened_to(&reason, 200)));
                }
                _ = arrays.counts.insert(name, read_array(input, length, u64::from_le_bytes)?);
            }
            other => {
                let reason = format!("tensor {} is of type {other}, not F32", quoted(&name));
                return Err(Problem::Damaged(reason));
            }
        }
    }
    Ok(arrays)
}

fn read_array<T, const N: usize>(
    input: &mut dyn Read,
    length: usize,
    from_bytes: impl Fn([u8; N]) -> T,
) -> io::Result<Vec<T>> {
    let mut values = Vec::with_capacity(length / N);
    let mut buffer = vec![0; CHUNK.min(length)];
    let mut left = length;
    while left > 0 {
        let bytes = &mut buffer[..left.min(CHUNK)];
        input.read_exact(bytes)?;
        let (elements, _) = bytes.as_chunks::<N>();
        values.extend(elements.iter().map(|&bytes| from_bytes(bytes)));
        left -= bytes.len();
    }
    Ok(values)
}
