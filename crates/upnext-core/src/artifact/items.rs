//! Reads and writes the vocabulary as Parquet: `item_id` (text) and `support` (int64). An item's index is its row.

use super::files::Problem;
use crate::data::{ItemVocabulary, shortened_to};
use crate::parquet::{BATCH_ROWS, BatchWriter, ParquetFile, model_properties};
use arrow_array::Array;
use arrow_array::builder::{Int64Builder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use arrow_schema::{DataType, Field};
use bytes::Bytes;
use std::io::{self, Write};
use std::sync::Arc;

/// Writes the items.
pub(super) fn write(items: &ItemVocabulary, out: &mut (dyn Write + Send)) -> io::Result<()> {
    let fields =
        vec![Field::new("item_id", DataType::Utf8, false), Field::new("support", DataType::Int64, false)];
    let properties = model_properties()
        // Ids are unique, so that a dictionary would not help.
        .set_dictionary_enabled(false)
        // The manifest names the writer; here it would change the bytes with every version of the library.
        .set_created_by("upnext".to_owned());
    let mut writer = BatchWriter::new(out, fields, properties)?;
    let (mut ids, mut supports) = (StringBuilder::new(), Int64Builder::new());
    let mut rows = items.ids().zip(items.supports()).peekable();
    while rows.peek().is_some() {
        for (id, &support) in rows.by_ref().take(BATCH_ROWS) {
            ids.append_value(id);
            supports.append_value(i64::try_from(support).map_err(io::Error::other)?);
        }
        writer.write(vec![Arc::new(ids.finish()), Arc::new(supports.finish())])?;
    }
    writer.finish()
}

/// Reads the items of a file.
pub(super) fn read(file: Bytes) -> Result<ItemVocabulary, Problem> {
    let size = file.len() as u64;
    let damaged = |reason: String| {
        Problem::Damaged(format!("its Parquet data is damaged ({})", shortened_to(&reason, 200)))
    };
    let file = ParquetFile::open(file, size).map_err(damaged)?;
    let schema = Arc::clone(file.schema());
    let column = |name: &str, of: DataType| match schema.index_of(name) {
        Ok(at) if *schema.field(at).data_type() == of => Ok(at),
        Ok(_) => Err(Problem::Damaged(format!("its column `{name}` is not of type {of}"))),
        Err(_) => Err(Problem::Damaged(format!("it has no column `{name}`"))),
    };
    let (id_at, support_at) = (column("item_id", DataType::Utf8)?, column("support", DataType::Int64)?);
    let mut batches = file.batches(0..schema.fields().len()).map_err(damaged)?;
    let mut items = ItemVocabulary::new();
    while let Some(batch) = batches.next().map_err(damaged)? {
        let (ids, supports) = match (batch.columns().get(id_at), batch.columns().get(support_at)) {
            (Some(ids), Some(supports)) => {
                (ids.as_string_opt::<i32>(), supports.as_primitive_opt::<Int64Type>())
            }
            _ => (None, None),
        };
        let (Some(ids), Some(supports)) = (ids, supports) else {
            return Err(Problem::Damaged("a column is missing in a row group".to_owned()));
        };
        for row in 0..batch.num_rows() {
            let at = items.len();
            let damaged = |what: &str| Problem::Damaged(format!("row {at} (from 0) {what}"));
            if ids.is_null(row) {
                return Err(damaged("has no item_id"));
            }
            if supports.is_null(row) {
                return Err(damaged("has no support"));
            }
            let support =
                u64::try_from(supports.value(row)).map_err(|_| damaged("has a negative support"))?;
            if at == u32::MAX as usize {
                return Err(damaged("is one more than the items that can be numbered"));
            }
            if items.add(ids.value(row), support) as usize != at {
                return Err(damaged("has the item_id of a row before"));
            }
        }
    }
    Ok(items)
}
