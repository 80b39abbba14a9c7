//! A plan as a script, for whoever runs the queries by hand.

use super::{Dialect, SqlKind, SqlPlan};
use std::fmt::Write;

impl SqlPlan {
    /// The plan as a script that writes the folder `out`, a path or URL of the engine.
    pub fn script(&self, dialect: Dialect, out: &str) -> String {
        let mut script = String::new();
        // Writing to text cannot fail.
        match dialect {
            Dialect::Spark => script.push_str("SET TIME ZONE 'UTC';\n"),
            Dialect::DuckDb => {
                _ = writeln!(
                    script,
                    "-- DuckDB does not make folders: mkdir -p {out}/{{items,train,test_all,test,valid,statistics}}"
                )
            }
            Dialect::DataFusion => {}
        }
        for step in &self.steps {
            let (name, query) = (&step.name, &step.query);
            _ = writeln!(script, "\n-- {}.", step.about);
            let file = |of: &str| dialect.literal(&format!("{}/{name}{of}", out.trim_end_matches('/')));
            _ = match (step.kind, dialect) {
                (SqlKind::View, Dialect::DataFusion) => {
                    writeln!(script, "CREATE OR REPLACE VIEW {name} AS\n{query};")
                }
                (SqlKind::View, _) => {
                    writeln!(script, "CREATE OR REPLACE TEMPORARY VIEW {name} AS\n{query};")
                }
                (SqlKind::Table, Dialect::DuckDb) => {
                    writeln!(script, "CREATE OR REPLACE TEMPORARY TABLE {name} AS\n{query};")
                }
                (SqlKind::Table, Dialect::Spark) => writeln!(
                    script,
                    "DROP VIEW IF EXISTS {name};\nCACHE TABLE {name} OPTIONS ('storageLevel' 'MEMORY_AND_DISK') AS\n{query};"
                ),
                (SqlKind::Table, Dialect::DataFusion) => {
                    writeln!(script, "CREATE OR REPLACE TABLE {name} AS\n{query};")
                }
                (SqlKind::Folder, Dialect::DuckDb) => writeln!(
                    script,
                    "COPY (\n{query}\n) TO {} (FORMAT parquet, COMPRESSION zstd);",
                    file("/part-0.parquet")
                ),
                (SqlKind::Folder, Dialect::Spark) => {
                    writeln!(script, "INSERT OVERWRITE DIRECTORY {} USING parquet\n{query};", file(""))
                }
                (SqlKind::Folder, Dialect::DataFusion) => {
                    writeln!(script, "COPY (\n{query}\n) TO {} STORED AS PARQUET;", file("/part-0.parquet"))
                }
            };
        }
        script
    }
}
