//! Public logs give the published counts. Skipped where the folder of logs is missing.

#[allow(dead_code, reason = "each test file uses a part of it")]
mod public_logs;

use public_logs::log;
use std::ops::ControlFlow;
use upnext_core::data::{
    Dataset, DroppedSessions, EventLog, Format, LogShape, PartCounts, PartName, PrepareOptions, Prepared,
    PreparedFolder, ReadOptions, TestSessions, parse_time, write_parts,
};

fn prepare(log: EventLog, options: &PrepareOptions) -> upnext_core::Result<Prepared> {
    upnext_core::data::prepare(log, options, &mut |_| ControlFlow::Continue(()))
}

fn counts(part: PartCounts) -> (u64, u64, u64) {
    (part.events, part.sessions, part.items)
}

#[test]
fn rsc15_sample_splits_as_published() {
    let Some(log) = log("rsc15_100k/clicks.tsv.gz") else { return };
    assert_eq!(log.len(), 83_846);
    let prepared = prepare(log, &PrepareOptions::default()).unwrap();
    let s = prepared.statistics();
    assert_eq!((s.log.sessions, s.log.items), (21_210, 2_933));
    assert_eq!(counts(s.train), (69_786, 17_688, 2_808));
    assert_eq!(counts(s.test), (13_505, 3_403, 1_727));
    assert_eq!(s.fit.map(counts), Some((52_869, 13_543, 2_751)));
    assert_eq!(s.valid.map(counts), Some((16_447, 4_065, 1_968)));
    assert_eq!(s.warnings, Vec::<String>::new());

    // What is written and read again makes the same training data.
    let folder = tempfile::tempdir().unwrap();
    let (direct, _) = Dataset::from_part(&prepared.train()).unwrap();
    for format in [Format::Parquet, Format::Tsv] {
        let out = folder.path().join(format.extension());
        write_parts(&prepared, &out, format, &mut |_, _| ()).unwrap();
        let read = |part| {
            let path = PreparedFolder::resolve(&out, part).unwrap();
            EventLog::read(&path, &ReadOptions::default(), &mut |_| ControlFlow::Continue(())).unwrap()
        };
        let (train, dropped) = Dataset::from_log(read(PartName::Train)).unwrap();
        assert_eq!(train.sessions, direct.sessions, "{format:?}");
        assert_eq!(train.items.fingerprint(), direct.items.fingerprint());
        assert_eq!(train.items.supports(), direct.items.supports());
        assert_eq!(dropped, Default::default());
        let test = TestSessions::from_log(read(PartName::Test), &train.items).unwrap();
        assert_eq!((test.sessions.num_events(), test.sessions.len()), (13_505, 3_403));
        assert_eq!(test.dropped, Default::default());
    }
}

#[test]
fn globo_needs_until_and_says_so() {
    let Some(log) = log("globo/clicks.tsv.gz") else { return };
    let careless = prepare(log.clone(), &PrepareOptions::default()).unwrap();
    let warnings = &careless.statistics().warnings;
    assert!(warnings.iter().any(|w| w.contains("within the last 1d: 3, where")), "{warnings:?}");
    assert!(warnings.iter().any(|w| w.contains("`until` = 2017-10-15T03:00:00Z")), "{warnings:?}");

    let until = Some(parse_time("2017-10-15T03:00Z").unwrap());
    let mut options = PrepareOptions::default();
    options.until = until;
    let prepared = prepare(log, &options).unwrap();
    let s = prepared.statistics();
    assert_eq!(counts(s.train), (2_557_072, 897_149, 11_203));
    assert_eq!(counts(s.test), (52_950, 20_298, 1_817));
}

#[test]
fn a_log_of_order_only_is_read_and_named_a_counter_once() {
    let (Some(train), Some(test)) = (log("yoochoose1_64/train.tsv.gz"), log("yoochoose1_64/test.tsv.gz"))
    else {
        return;
    };
    let shape = LogShape::of(&mut train.clone());
    assert_eq!(counts(shape.counts), (486_026, 116_167, 17_376));
    assert!(shape.times_are_counter);
    assert_eq!(shape.warnings.len(), 1, "{:?}", shape.warnings);
    let (train, _) = Dataset::from_log(train).unwrap();
    let test = TestSessions::from_log(test, &train.items).unwrap();
    assert_eq!(train.sessions.num_events() - train.sessions.len(), 369_859);
    let DroppedSessions { unknown_events, short_sessions, .. } = test.dropped;
    assert_eq!((unknown_events, short_sessions), (531, 91));
    assert_eq!((test.sessions.num_events(), test.sessions.len()), (70_633, 15_233));
}

#[test]
fn the_published_64th_has_a_64th_of_the_paper_s_pairs_and_is_cut_further_to_the_pair() {
    const PAPER: (u64, u64) = (31_637_239, 7_966_257);
    let Some(log) = log("yoochoose1_64/train.tsv.gz") else { return };
    // Times are a counter, which has no days: the last sessions stand for the last day.
    let holdout = "2000 sessions".parse().unwrap();
    let mut options = PrepareOptions::default();
    (options.holdout, options.min_item_support, options.validation) = (holdout, 1, None);
    let whole = prepare(log.clone(), &options).unwrap();
    let published = counts(whole.statistics().log);
    assert_eq!(published.0 - published.1, (PAPER.0 - PAPER.1) / 64);
    let pairs = whole.statistics().train.pairs();
    for scale in [2, 7, 64] {
        let mut options = options.clone();
        options.scale = scale;
        let cut = prepare(log.clone(), &options).unwrap();
        let (s, whole) = (cut.statistics(), whole.statistics());
        assert_eq!(s.train.pairs(), pairs / scale);
        assert_eq!((s.uncut_train, s.test), (Some(whole.train), whole.test));
        assert_eq!(s.train.last_time_us, whole.train.last_time_us);
    }
}
