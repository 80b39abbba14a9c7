//! Arrow files and streams, whole and damaged.

use super::*;
use arrow_array::types::Int32Type;
use arrow_array::{DictionaryArray, Int64Array, StringArray};
use arrow_cast::display::array_value_to_string;
use arrow_ipc::CompressionType;
use arrow_ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};

fn batch(rows: std::ops::Range<i64>) -> RecordBatch {
    let sessions = Arc::new(Int64Array::from_iter_values(rows.clone())) as ArrayRef;
    let items: DictionaryArray<Int32Type> =
        rows.clone().map(|i| if i % 2 == 0 { "even" } else { "odd" }).collect();
    let titles: StringArray = rows.map(|i| (i % 3 != 0).then(|| "x".repeat(i as usize % 50))).collect();
    RecordBatch::try_from_iter([("s", sessions), ("i", Arc::new(items) as _), ("t", Arc::new(titles) as _)])
        .unwrap()
}

fn options(compression: Option<CompressionType>) -> IpcWriteOptions {
    IpcWriteOptions::default().try_with_compression(compression).unwrap()
}

fn written(is_file: bool, compression: Option<CompressionType>, batches: &[RecordBatch]) -> Vec<u8> {
    let (mut bytes, schema) = (Vec::new(), batches[0].schema());
    if is_file {
        let mut writer = FileWriter::try_new_with_options(&mut bytes, &schema, options(compression)).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap();
    } else {
        let mut writer =
            StreamWriter::try_new_with_options(&mut bytes, &schema, options(compression)).unwrap();
        batches.iter().for_each(|batch| writer.write(batch).unwrap());
        writer.finish().unwrap();
    }
    bytes
}

fn read(bytes: &[u8], columns: &[usize]) -> Result<Vec<RecordBatch>, String> {
    let mut batches = ArrowFile::open(bytes, bytes.len() as u64)?.batches(columns.iter().copied());
    let mut found = Vec::new();
    while let Some(batch) = batches.next()? {
        found.push(batch);
    }
    assert_eq!(batches.bytes_read(), bytes.len() as u64);
    Ok(found)
}

fn kinds() -> Vec<(bool, Option<CompressionType>)> {
    let mut compressions = vec![None, Some(CompressionType::LZ4_FRAME)];
    if cfg!(feature = "zstd") {
        compressions.push(Some(CompressionType::ZSTD));
    }
    [true, false].into_iter().flat_map(|is_file| compressions.iter().map(move |&of| (is_file, of))).collect()
}

#[test]
fn files_and_streams_have_their_batches_with_the_chosen_columns() {
    let batches = [batch(0..100), batch(100..250)];
    for (is_file, compression) in kinds() {
        let bytes = written(is_file, compression, &batches);
        let file = ArrowFile::open(&*bytes, bytes.len() as u64).unwrap();
        let names: Vec<&str> = file.schema().fields().iter().map(|field| field.name().as_str()).collect();
        assert_eq!(names, ["s", "i", "t"]);
        assert_eq!(read(&bytes, &[0, 1, 2]).unwrap(), batches);
        let projected: Vec<RecordBatch> =
            batches.iter().map(|batch| batch.project(&[0, 2]).unwrap()).collect();
        assert_eq!(read(&bytes, &[2, 0, 2]).unwrap(), projected);
    }
}

#[test]
fn a_file_is_opened_by_its_first_bytes() {
    use crate::data::source::{Source, open};
    let place = tempfile::tempdir().unwrap();
    for is_file in [true, false] {
        let path = place.path().join("log");
        std::fs::write(&path, written(is_file, None, &[batch(0..100)])).unwrap();
        let Source::Arrow(file) = open(&path, None).unwrap() else { panic!("it is read as something else") };
        let size = file.metadata().unwrap().len();
        let mut batches = ArrowFile::open(std::io::BufReader::new(file), size).unwrap().batches([1]);
        assert_eq!(batches.next().unwrap().unwrap().num_rows(), 100);
        assert_eq!(batches.next().unwrap(), None);
    }
}

#[test]
fn whatever_is_cut_off_is_an_error() {
    let batches = [batch(0..30), batch(30..40)];
    for (is_file, compression) in kinds() {
        let bytes = written(is_file, compression, &batches);
        for length in (0..bytes.len()).step_by(7) {
            let result = read(&bytes[..length], &[0, 1]);
            match result {
                Err(_) => {}
                // A stream may end after any message, since its writer may close it without a mark.
                Ok(found) => assert!(
                    !is_file
                        && found.len() <= 2
                        && found.iter().zip(&batches).all(|(a, b)| a.num_rows() == b.num_rows())
                ),
            }
        }
        if is_file {
            for length in bytes.len() - 40..bytes.len() {
                assert!(read(&bytes[..length], &[0]).is_err(), "{length} of {}", bytes.len());
            }
        }
    }
}

#[test]
fn what_follows_the_batches_may_be_long() {
    let [file, stream] = [true, false].map(|is_file| written(is_file, None, &[batch(0..10)]));
    let longer_than_a_buffer = vec![b'x'; 200_000];
    let error = read(&[stream, longer_than_a_buffer.clone()].concat(), &[0]).unwrap_err();
    assert_eq!(error, "200000 bytes follow the end of the stream");
    let mut file = [file, longer_than_a_buffer].concat();
    assert!(read(&file, &[0]).is_err());
    file.extend_from_slice(&FILE_MAGIC[..6]);
    assert_eq!(read(&file, &[0]).unwrap().len(), 1);
}

#[test]
fn damage_is_an_error_or_another_value_and_never_a_panic() {
    let batches = [batch(0..40)];
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for (is_file, compression) in kinds() {
        let bytes = written(is_file, compression, &batches);
        for _ in 0..1_500 {
            let mut damaged = bytes.clone();
            for _ in 0..3 {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                let at = (state >> 8) as usize % damaged.len();
                damaged[at] = if state & 1 == 0 { 0xff } else { (state >> 40) as u8 };
            }
            if let Ok(mut batches) =
                ArrowFile::open(&*damaged, damaged.len() as u64).map(|file| file.batches([0, 1, 2]))
            {
                // What was decoded can be shown.
                while let Ok(Some(batch)) = batches.next() {
                    for column in batch.columns() {
                        (0..batch.num_rows()).for_each(|row| _ = array_value_to_string(column, row));
                    }
                }
            }
        }
    }
}

#[test]
fn a_length_that_no_memory_has_is_refused_before_it_is_allocated() {
    let bytes = written(false, Some(CompressionType::LZ4_FRAME), &[batch(0..2_000)]);
    // The first compressed buffer claims to have 16,000 bytes.
    let length = 16_000_i64.to_le_bytes();
    let at =
        bytes.windows(8).position(|window| window == length).expect("the buffer of sessions is compressed");
    let mut damaged = bytes;
    damaged[at..at + 8].copy_from_slice(&(1_i64 << 60).to_le_bytes());
    assert!(read(&damaged, &[0]).unwrap_err().contains("does not fit into memory"));
}
