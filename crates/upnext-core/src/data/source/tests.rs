//! Files of every kind, as `open` recognises them.

use super::*;
use std::io::Write;

const LOG: &str = "session,item,time\nä,1,1500000000\nß,2,1500000001\n";

fn opened(bytes: &[u8], encoding: Option<&str>) -> Result<Source> {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    open(file.path(), encoding)
}

fn text_source(bytes: &[u8], encoding: Option<&str>) -> TextSource {
    match opened(bytes, encoding).unwrap() {
        Source::Text(source) => source,
        Source::Json(_) => panic!("it is read as JSON"),
        Source::Parquet(_) | Source::Arrow(_) => panic!("it is read as columns"),
    }
}

fn whole(source: TextSource) -> Result<String> {
    let (path, compression, mut text) = (source.path().to_owned(), source.compression, String::new());
    let read = source.into_reader().read_to_string(&mut text);
    read.map_err(|error| TextSource::error(&path, compression, error))?;
    Ok(text)
}

fn refused(bytes: &[u8]) -> String {
    match opened(bytes, None) {
        Ok(_) => panic!("it is read"),
        Err(error) => error.to_string(),
    }
}

pub(in crate::data) fn utf16(text: &str, big: bool) -> Vec<u8> {
    text.encode_utf16().flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

/// Members of an archive: name, content, whether it is deflated.
pub(in crate::data) fn zip_of(members: &[(&str, &[u8], bool)]) -> Vec<u8> {
    let (mut archive, mut directory) = (Vec::new(), Vec::new());
    for (name, content, deflated) in members {
        let packed = if *deflated {
            let mut encoder = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
            encoder.write_all(content).unwrap();
            encoder.finish().unwrap()
        } else {
            content.to_vec()
        };
        let method: u16 = if *deflated { 8 } else { 0 };
        let mut common = Vec::new();
        [20, 0, method, 0, 0x21].iter().for_each(|field: &u16| common.extend(field.to_le_bytes()));
        [crc32fast::hash(content), packed.len() as u32, content.len() as u32]
            .iter()
            .for_each(|field| common.extend(field.to_le_bytes()));
        [name.len() as u16, 0].iter().for_each(|field| common.extend(field.to_le_bytes()));
        directory.extend(b"PK\x01\x02\x14\0");
        directory.extend(&common);
        directory.extend([0; 10]);
        directory.extend((archive.len() as u32).to_le_bytes());
        directory.extend(name.as_bytes());
        archive.extend(b"PK\x03\x04");
        archive.extend(&common);
        archive.extend(name.as_bytes());
        archive.extend(packed);
    }
    let (start, count) = (archive.len() as u32, members.len() as u16);
    archive.extend(&directory);
    archive.extend(b"PK\x05\x06\0\0\0\0");
    [count, count].iter().for_each(|field| archive.extend(field.to_le_bytes()));
    [directory.len() as u32, start].iter().for_each(|field| archive.extend(field.to_le_bytes()));
    archive.extend([0, 0]);
    archive
}

#[test]
fn utf16_is_known_by_its_mark_and_decoded() {
    let long = format!("{LOG}{}", "😀,2,1500000001\n".repeat(20_000));
    for (big, mark, name) in [(false, &b"\xff\xfe"[..], "UTF-16LE"), (true, b"\xfe\xff", "UTF-16BE")] {
        for text in [LOG, &long] {
            let marked = [mark, &utf16(text, big)].concat();
            let source = text_source(&marked, None);
            assert_eq!((source.encoding, source.complete), (Some(name), text == LOG));
            assert_eq!(whole(source).unwrap(), text);
            // Compressed, and with a label that the mark overrules.
            let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
            gzip.write_all(&marked).unwrap();
            let source = text_source(&gzip.finish().unwrap(), Some("latin1"));
            assert_eq!((source.encoding, source.compression), (Some(name), Some("gzip")));
            assert_eq!(whole(source).unwrap(), text);
        }
        let label = name.to_lowercase();
        assert_eq!(whole(text_source(&utf16(LOG, big), Some(&label))).unwrap(), LOG);
        assert!(refused(&utf16(LOG, big)).contains("UTF-16 text without a byte order mark"));
    }
}

#[test]
fn an_encoding_is_given_by_its_label() {
    let latin1: Vec<u8> = LOG.chars().map(|c| c as u32 as u8).collect();
    for label in ["latin1", "ISO-8859-1", "windows-1252"] {
        let source = text_source(&latin1, Some(label));
        assert_eq!(source.encoding, Some("windows-1252"));
        assert_eq!(whole(source).unwrap(), LOG);
    }
    let source = text_source(b"\xef\xbb\xbfsession,item,time\n", Some("latin1"));
    assert_eq!((source.encoding, &*source.sample), (None, &b"session,item,time\n"[..]));
    assert_eq!(text_source(LOG.as_bytes(), Some("utf-8")).encoding, None);
    let error = opened(LOG.as_bytes(), Some("latin-9000")).err().unwrap().to_string();
    assert!(error.starts_with("encoding: `latin-9000` is no encoding: use a label"), "{error}");
}

#[test]
fn bytes_that_are_no_character_are_an_error_and_no_question_mark() {
    let mut bytes = [b"\xff\xfe", &*utf16(&"a,b,1\n".repeat(30_000), false)].concat();
    bytes.pop();
    let error = whole(text_source(&bytes, None)).unwrap_err().to_string();
    assert!(error.contains("damaged UTF-16LE data (the bytes before 360001 are no character"), "{error}");
    let error = opened(b"session,item,time\n\x81\xff,1,2\n", Some("shift_jis")).err().unwrap().to_string();
    assert!(error.contains("damaged Shift_JIS data"), "{error}");
}

#[test]
fn the_file_in_a_zip_archive_is_read() {
    for deflated in [false, true] {
        let long = LOG.repeat(5_000);
        for text in [LOG, &long] {
            let members = [
                ("data/", &b""[..], false),
                ("__MACOSX/data/._log.csv", b"x", false),
                ("data/.hidden", b"y", false),
                ("data/log.csv", text.as_bytes(), deflated),
            ];
            let bytes = zip_of(&members);
            let source = text_source(&bytes, None);
            assert_eq!(source.compression, Some("zip"));
            let count = Arc::clone(&source.bytes_read);
            assert_eq!(whole(source).unwrap(), text);
            assert!((1..=bytes.len() as u64).contains(&count.load(Ordering::Relaxed)));
        }
    }
    let json = zip_of(&[("log.json", b"[{\"a\": 1}]", true)]);
    assert!(matches!(opened(&json, None).unwrap(), Source::Json(_)));
    let mark = [&b"\xff\xfe"[..], &utf16(LOG, false)].concat();
    assert_eq!(text_source(&zip_of(&[("a", &mark, true)]), None).encoding, Some("UTF-16LE"));
}

#[test]
fn other_zip_archives_are_refused_by_name() {
    let log = LOG.as_bytes();
    for (members, message) in [
        (
            &[("a.csv", log, true), ("b/c.csv", log, true)][..],
            "a zip archive of 2 files (a.csv, b/c.csv) cannot be read: unpack it",
        ),
        (&[], "a zip archive without a file"),
        (&[("d/", b"", false)], "a zip archive without a file"),
        (&[("a.parquet", b"PAR1xxxx", false)], "a Parquet file in zip data cannot be read: unpack it first"),
        (&[("a.csv.gz", b"\x1f\x8b\x08\0\0\0\0\0", false)], "gzip data in zip data"),
        (
            &[("[Content_Types].xml", b"<x/>", true), ("xl/workbook.xml", b"<x/>", true)],
            "an Excel workbook (xlsx) cannot be read: save the sheet as CSV",
        ),
        (&[("mimetype", b"x", false), ("content.xml", b"<x/>", true)], "an OpenDocument file"),
        (&[("a.npy", b"x", false)], "an archive of NumPy arrays (npz)"),
    ] {
        let error = refused(&zip_of(members));
        assert!(error.contains(message), "{error}");
    }
    let mut encrypted = zip_of(&[("a.csv", log, true)]);
    let directory = encrypted.windows(4).position(|window| window == b"PK\x01\x02").unwrap();
    encrypted[6] |= 1;
    encrypted[directory + 8] |= 1;
    assert!(refused(&encrypted).contains("an encrypted zip archive"));
    let mut other = zip_of(&[("a.csv", log, true)]);
    (other[8], other[directory + 10]) = (14, 14);
    assert!(refused(&other).contains("a zip archive with compression method"), "{}", refused(&other));
}

#[test]
fn damaged_zip_archives_are_errors() {
    let text = LOG.repeat(5_000);
    for deflated in [false, true] {
        let bytes = zip_of(&[("log.csv", text.as_bytes(), deflated)]);
        for length in (4..bytes.len()).step_by(bytes.len() / 50 + 1) {
            assert!(opened(&bytes[..length], None).is_err(), "{length}");
        }
        // A bit of the content: found by its checksum at the latest.
        for at in [60, bytes.len() / 2] {
            let mut damaged = bytes.clone();
            damaged[at] ^= 4;
            let result = opened(&damaged, None).and_then(|source| match source {
                Source::Text(source) => whole(source),
                _ => panic!("it is read as something else"),
            });
            let error = result.unwrap_err().to_string();
            assert!(
                error.contains("damaged zip data") || error.contains("the zip data ends too early"),
                "{error}"
            );
        }
    }
}

#[test]
fn json_is_told_from_text_that_begins_with_a_bracket() {
    for json in [
        "{\"a\": 1}",
        " \n[{\"a\": 1}]",
        "{}",
        "[]",
        "[\n[1, 2]]",
        "[1, \"a\"]\n[2, \"b\"]\n",
        "[ 1 ]",
        "{\n  \"a\"",
    ] {
        assert!(matches!(opened(json.as_bytes(), None).unwrap(), Source::Json(_)), "{json}");
    }
    for text in [
        "[session],[item],[time]\n1,2,3\n",
        "{0f8fad5b-d9cb},7,8\n",
        "[1,2\t3\t4\n",
        "[0.5, 1],7,8\n",
        "{,1,2\n",
        "[",
        "{",
        "[x",
    ] {
        assert!(matches!(opened(text.as_bytes(), None).unwrap(), Source::Text(_)), "{text}");
    }
    let long = format!("[{}", "1,".repeat(100_000));
    assert!(matches!(opened(long.as_bytes(), None).unwrap(), Source::Json(_)));
}

#[test]
fn kinds_are_recognised_also_inside_compressed_data() {
    assert!(matches!(opened(b"PAR1....PAR1", None).unwrap(), Source::Parquet(_)));
    assert!(matches!(opened(b"ARROW1\0\0\xff\xff\xff\xff", None).unwrap(), Source::Arrow(_)));
    assert!(matches!(opened(b"\xff\xff\xff\xff\x78\0\0\0", None).unwrap(), Source::Arrow(_)));
    assert!(refused(b"Obj\x01\0").contains("an Avro file cannot be read: write the table as Parquet or CSV"));
    let packed = |bytes: &[u8]| {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(bytes).unwrap();
        gzip.finish().unwrap()
    };
    let mut tar = vec![0; 512];
    tar[257..262].copy_from_slice(b"ustar");
    for (bytes, message) in [
        (packed(&tar), "a tar archive in gzip data cannot be read: unpack it"),
        (packed(b"RDX3\nX\n\0\0\0"), "an R data file (RData) in gzip data"),
        (packed(b"PAR1...."), "a Parquet file in gzip data"),
        (packed(&packed(b"a,b\n")), "gzip data in gzip data"),
    ] {
        let error = refused(&bytes);
        assert!(error.contains(message), "{error}");
    }
    for empty in [&b""[..], b"\xef\xbb\xbf", b"\xff\xfe", b" \n", b"\xff\xfe\n\0"] {
        assert!(matches!(opened(empty, None), Err(Error::NoEvents { .. })));
    }
}
