//! Tests of the queries' texts; `python/tests` runs them in engines.

use super::*;

fn options(dialect: Dialect) -> SqlOptions {
    let column = |name: &str| IdColumn { name: name.to_owned(), form: IdForm::Text };
    SqlOptions {
        dialect,
        source: "clicks".to_owned(),
        session: vec![column("session")],
        item: column("item"),
        time: "at".to_owned(),
        time_form: TimeForm::Timestamp,
        order: None,
        session_gap: None,
        keep_null_ids: false,
        rounds: 1,
        rules: PrepareOptions::default(),
    }
}

#[test]
fn names_and_texts_are_quoted_in_every_dialect() {
    for (dialect, name, text) in [
        (Dialect::DuckDb, r#""a""b`c\d""#, r"'it''s a \ '"),
        (Dialect::DataFusion, r#""a""b`c\d""#, r"'it''s a \ '"),
        (Dialect::Spark, r#"`a"b``c\d`"#, r"'it\'s a \\ '"),
    ] {
        assert_eq!(dialect.name("a\"b`c\\d"), name);
        assert_eq!(dialect.literal("it's a \\ "), text);
    }
}

#[test]
fn a_plan_uses_only_what_it_has_made() {
    for dialect in Dialect::ALL {
        for (gap, scale, rounds) in [(None, 1, 1), ("30m".parse().ok(), 4, 3)] {
            let mut options = options(dialect);
            (options.session_gap, options.rules.scale, options.rounds) = (gap, scale, rounds);
            let plan = SqlPlan::new(&options).unwrap();
            let mut made: Vec<&str> = Vec::new();
            for step in &plan.steps {
                let is_name = |c: char| c.is_alphanumeric() || c == '_';
                let words = step.query.split(|c: char| !is_name(c));
                for used in words.filter(|word| word.starts_with(TABLE_PREFIX)) {
                    assert!(made.contains(&used), "{used} in {}", step.name);
                }
                made.push(&step.name);
            }
            let folders = plan.steps.iter().filter(|step| step.kind == SqlKind::Folder);
            let folders: Vec<&str> = folders.map(|step| step.name.as_str()).collect();
            assert_eq!(folders, ["items", "train", "test_all", "test", "valid", "statistics"]);
            assert_eq!(made.iter().filter(|name| name.starts_with("upnext_round_")).count(), rounds);
            let script = plan.script(dialect, "out/");
            assert!(script.contains("out/train") && !script.contains("//train"), "{script}");
        }
    }
}

#[test]
fn invalid_rules_are_refused_before_an_engine_sees_them() {
    let mut wrong = options(Dialect::Spark);
    wrong.rules.min_session_length = 1;
    assert!(SqlPlan::new(&wrong).unwrap_err().to_string().contains("min_session_length"));
    let wrong = SqlOptions { session: Vec::new(), ..options(Dialect::Spark) };
    assert!(SqlPlan::new(&wrong).unwrap_err().to_string().contains("session"));
    let error = "mysql".parse::<Dialect>().unwrap_err();
    assert!(error.contains("duckdb, spark, datafusion"), "{error}");
}

#[test]
fn names_of_rules_are_those_of_statistics() {
    use crate::data::DropRule::{BeforeLastPairs, Duplicate, LongSession, ShortSessionAfterItems};
    for rule in [BeforeLastPairs, Duplicate, LongSession, ShortSessionAfterItems] {
        assert_eq!(serde_json::to_value(rule).unwrap(), rule.as_str());
    }
}
