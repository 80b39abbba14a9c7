//! The kinds of files, recognised by their first bytes: those that are read, and those that are refused by name.

/// Number of bytes from which a kind is recognised: the magic of a tar archive stands at byte 257.
pub(super) const MAGIC_BYTES: u64 = 512;

/// What the first bytes of a file announce.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Nothing else: text in some encoding.
    Text,
    Gzip,
    Zstd,
    Zip,
    Parquet,
    /// Arrow's IPC format: a file or a stream.
    Arrow,
    Refused(&'static Refused),
}

/// A kind of file that is not read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// Where the magic stands.
    at: usize,
    magic: &'static [u8],
    /// Whether the magic is also a beginning of texts, which have no control characters.
    may_be_text: bool,
    /// What the file is, with an article.
    pub(super) name: &'static str,
    /// What to do with it.
    pub(super) advice: &'static str,
}

const fn refused(at: usize, magic: &'static [u8], name: &'static str, advice: &'static str) -> Refused {
    Refused { at, magic, may_be_text: false, name, advice }
}

/// A kind whose magic consists of letters.
const fn letters(magic: &'static [u8], name: &'static str, advice: &'static str) -> Refused {
    Refused { at: 0, magic, may_be_text: true, name, advice }
}

const AS_PARQUET: &str = "write the table as Parquet or CSV";
const AS_CSV: &str = "save the sheet as CSV";
const UNPACK: &str = "unpack it, or use gzip or zstd";
const UNPACK_FIRST: &str = "unpack it first";
const FROM_PYTHON: &str = "load it in Python, and write it with `to_parquet` or `to_csv` of pandas";
const FROM_R: &str =
    "load it in R, and write it with `write.csv`, or with `write_parquet` of the package arrow";
const EXPORT_TABLE: &str = "export its table of events as CSV or Parquet";

/// The kinds that are refused.
const REFUSED: &[Refused] = &[
    letters(b"ORC", "an ORC file", AS_PARQUET),
    refused(0, b"Obj\x01", "an Avro file", AS_PARQUET),
    letters(b"FEA1", "a Feather file of version 1", "write it as Feather version 2, Parquet or CSV"),
    letters(b"PARE", "an encrypted Parquet file", "write it without encryption"),
    refused(0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Excel workbook (xls) or another Office document", AS_CSV),
    refused(0, b"SQLite format 3\0", "an SQLite data base", EXPORT_TABLE),
    refused(8, b"DUCK", "a DuckDB data base", EXPORT_TABLE),
    refused(0, b"\x89HDF\r\n\x1a\n", "an HDF5 file", AS_PARQUET),
    refused(0, b"\x80\x02", "a Python pickle", FROM_PYTHON),
    refused(0, b"\x80\x03", "a Python pickle", FROM_PYTHON),
    refused(0, b"\x80\x04", "a Python pickle", FROM_PYTHON),
    refused(0, b"\x80\x05", "a Python pickle", FROM_PYTHON),
    refused(0, b"\x93NUMPY", "a NumPy array (npy)", FROM_PYTHON),
    letters(b"RDX2\n", "an R data file (RData)", FROM_R),
    letters(b"RDX3\n", "an R data file (RData)", FROM_R),
    refused(0, b"X\n\0\0\0", "an R data file (rds)", FROM_R),
    refused(
        0,
        b"\0\0\0\0\0\0\0\0\0\0\0\0\xc2\xea\x81\x60\xb3\x14\x11\xcf\xbd\x92\x08\0\x09\xc7\x31\x8c\x18\x1f\x10\x11",
        "an SAS data set (sas7bdat)",
        AS_PARQUET,
    ),
    refused(0, b"HEADER RECORD*******LIB", "an SAS transport file (xpt)", AS_PARQUET),
    refused(0, b"<stata_dta>", "a Stata data set (dta)", AS_PARQUET),
    refused(0, b"\x71\x02\x01\0", "a Stata data set (dta)", AS_PARQUET),
    refused(0, b"\x72\x02\x01\0", "a Stata data set (dta)", AS_PARQUET),
    refused(0, b"\x73\x02\x01\0", "a Stata data set (dta)", AS_PARQUET),
    letters(b"$FL2@(#)", "an SPSS data set (sav)", AS_PARQUET),
    letters(b"$FL3@(#)", "an SPSS data set (zsav)", AS_PARQUET),
    refused(0, b"%PDF-", "a PDF document", "give the data from which it was made"),
    refused(0, b"\xfd7zXZ\0", "xz data", UNPACK),
    refused(0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", UNPACK_FIRST),
    refused(0, b"Rar!\x1a\x07", "a RAR archive", UNPACK_FIRST),
    refused(0, b"\x04\x22\x4d\x18", "lz4 data", UNPACK),
    refused(0, b"\xff\x06\0\0sNaPpY", "Snappy data", UNPACK),
    refused(0, b"\x1f\x9d", "data of `compress` (.Z)", UNPACK),
    refused(0, b"\xff\xfe\0\0", "UTF-32 text", "convert it to UTF-8"),
    refused(0, b"\0\0\xfe\xff", "UTF-32 text", "convert it to UTF-8"),
    refused(
        0,
        b"version https://git-lfs.github.com/spec/",
        "a pointer of Git LFS, in place of the file,",
        "fetch the file with `git lfs pull`",
    ),
];

static BZIP2: Refused = refused(0, b"BZh", "bzip2 data", UNPACK);
static TAR: Refused =
    refused(257, b"ustar", "a tar archive", "unpack it: a folder of files is read as one log");
static MARKUP: Refused = refused(
    0,
    b"<",
    "an HTML page or XML document",
    "give CSV, JSON, Parquet or Arrow (if it is a download, it may be an error page: download it again)",
);

/// The kind of a file that begins with `head`.
pub(super) fn of(head: &[u8]) -> Kind {
    match head {
        [0x1f, 0x8b, ..] => return Kind::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => return Kind::Zstd,
        // The second is the end of an archive without members.
        [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => return Kind::Zip,
        [b'P', b'A', b'R', b'1', ..] => return Kind::Parquet,
        [b'A', b'R', b'R', b'O', b'W', b'1', 0, ..] => return Kind::Arrow,
        // A stream begins with a continuation mark and the length of its schema, a multiple of 8.
        [0xff, 0xff, 0xff, 0xff, low, _, _, high, ..] if low % 8 == 0 && *high < 0x80 => return Kind::Arrow,
        // A digit, and then the mark of a block or of the end.
        [b'B', b'Z', b'h', b'1'..=b'9', 0x31, 0x41, ..] | [b'B', b'Z', b'h', b'1'..=b'9', 0x17, 0x72, ..] => {
            return Kind::Refused(&BZIP2);
        }
        _ => {}
    }
    let is_binary = || head.iter().any(|&b| b < b' ' && !b.is_ascii_whitespace());
    let matches = |refused: &&Refused| {
        head.get(refused.at..).is_some_and(|head| head.starts_with(refused.magic))
            && (!refused.may_be_text || is_binary())
    };
    if let Some(refused) = REFUSED.iter().find(matches) {
        return Kind::Refused(refused);
    }
    if head.get(257..).is_some_and(|head| head.starts_with(TAR.magic)) && head[..257].contains(&0) {
        return Kind::Refused(&TAR);
    }
    let text = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let begins_with = |tag: &[u8]| text.get(..tag.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(tag));
    if [&b"<!doctype"[..], b"<html", b"<?xml"].into_iter().any(begins_with) {
        return Kind::Refused(&MARKUP);
    }
    Kind::Text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refused_kind_is_recognised_by_its_own_entry() {
        for refused in REFUSED.iter().chain([&TAR]) {
            let mut head = vec![1; refused.at];
            head.extend_from_slice(refused.magic);
            head.extend_from_slice(b"\0\x01rest");
            if refused.at > 0 {
                head[0] = 0;
            }
            let Kind::Refused(found) = of(&head) else { panic!("{} is not refused", refused.name) };
            assert_eq!(found.name, refused.name);
        }
        for (head, name) in [
            (&b"BZh91AY&SY"[..], "bzip2 data"),
            (b"\xef\xbb\xbf <!DOCTYPE html><html>", "an HTML page or XML document"),
            (b"<?xml version=\"1.0\"?>", "an HTML page or XML document"),
        ] {
            assert!(matches!(of(head), Kind::Refused(found) if found.name == name), "{name}");
        }
    }

    #[test]
    fn texts_that_begin_like_a_magic_are_texts() {
        for text in [
            "ORCID,item,time\n1,2,3\n",
            "PAREnt\titem\ttime\n",
            "FEA1,b,c\n",
            "BZh,item,time\n",
            "RDX3\n",
            "$FL2@(#),a\n",
            "version,item,time\n",
            "PK,item,time\n",
            "ARROW1,item,time\n",
            "<session>,item,time\n",
            "Rar!,item\n",
            "",
        ] {
            assert_eq!(of(text.as_bytes()), Kind::Text, "{text}");
        }
        let ustar = format!("{}ustar,1,2\n", "a".repeat(257));
        assert_eq!(of(ustar.as_bytes()), Kind::Text);
    }
}
