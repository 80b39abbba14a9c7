//! Which options stand together in the help of a command, and its examples.

/// Titles and the ids of their options.
type Groups = &'static [(&'static str, &'static [&'static str])];

/// The options that every command has under the heading "Output".
pub(super) const OUTPUT: [&str; 2] = ["json", "quiet"];

/// The filters of a preparation.
const FILTERS: &[&str] = &[
    "since",
    "until",
    "min_item_support",
    "min_session_length",
    "max_session_length",
    "drop_duplicates",
    "drop_repeats",
    "iterate_filters",
    "scale",
];

/// The groups of each command, in the order of the options' declaration. Options that are in no group stand first, under
/// "Options".
pub(super) const GROUPS: &[(&str, Groups)] = &[
    ("prepare", &[("Filters", FILTERS), ("Output", &["format"])]),
    (
        "train",
        &[
            (
                "Model and training",
                &["model", "epochs", "seed", "config", "fields", "show_config", "threads"],
            ),
            ("Checkpoints and size", &["checkpoint_every", "slim"]),
            ("Table of items", &["items", "item_table_column"]),
        ],
    ),
    (
        "compare",
        &[
            ("Training", &["fields", "epochs", "seed", "threads"]),
            ("Windows of the training part", &["windows"]),
            ("Intervals", &["resamples"]),
        ],
    ),
    (
        "tune",
        &[
            ("Search", &["space", "show_space", "objective", "sampler", "halving", "no_refine"]),
            ("Several machines", &["shared", "lease"]),
            ("Data", &["valid", "validation", "test"]),
            ("Model and training", &["model", "epochs", "seed", "config", "fields", "threads"]),
            ("Evaluation", &["k", "ties", "candidates"]),
        ],
    ),
    (
        "recommend",
        &[
            ("Which items are recommended", &["exclude_seen", "exclude", "only"]),
            ("With --sessions", &["out", "one_row", "threads"]),
        ],
    ),
    ("reproduce rsc15", &[("Training", &["scale", "epochs", "seed", "threads"]), ("Report", &["report"])]),
    (
        "reproduce video-like",
        &[
            ("Data", &["max_session_length", "until"]),
            ("Training", &["scale", "epochs", "seed", "threads"]),
            ("Report", &["report"]),
        ],
    ),
    (
        "serve",
        &[
            ("Options", &["config", "fields", "show_config"]),
            (
                "Access",
                &["admin_listen", "keys", "admin_keys", "allow_open", "tls_cert", "tls_key", "models"],
            ),
            ("Sessions", &["session_file", "session_sync", "session_store"]),
            ("Items", &["block", "allow", "catalogue", "catalogue_quote"]),
            ("Second model", &["compare", "share", "shadow"]),
            ("Logs", &["event_log", "impressions", "log", "log_level"]),
        ],
    ),
    (
        "load",
        &[
            ("Connection", &["ca", "keys", "allow_remote", "connections", "timeout"]),
            ("Clicks", &["ramp", "think", "stateless", "event_keys", "k", "seed"]),
        ],
    ),
    ("inspect", &[("Reading a table of items", &["items"])]),
    (
        "sql prepare",
        &[
            (
                "The log",
                &[
                    "source",
                    "session_column",
                    "item_column",
                    "time_column",
                    "time_form",
                    "order_column",
                    "session_gap",
                    "keep_null_ids",
                ],
            ),
            ("Filters", FILTERS),
            ("Filters", &["rounds"]),
        ],
    ),
];

/// The first commands to try.
pub(super) const START: &[&str] = &[
    "upnext demo                                  # all of it on a simulated shop",
    "upnext prepare clicks.csv --out data         # split a click log into training and test parts",
    "upnext train data --out model                # train a network",
    "upnext evaluate model data                   # rank the next items of the test part",
    "upnext recommend model --session 12,7        # recommend",
];

/// Examples of each command.
pub(super) const EXAMPLES: &[(&str, &[&str])] = &[
    ("demo", &["upnext demo", "upnext demo --out shop --seed 7"]),
    (
        "auto",
        &[
            "upnext auto data --out model --report page.html",
            "upnext auto clicks.csv --out model --budget 8h --objective recall@20",
        ],
    ),
    (
        "prepare",
        &[
            "upnext prepare clicks.csv --out data",
            "upnext prepare logs/ --out data --where event=view --skip-bad-rows",
            "upnext prepare log.csv --out data --session-column visit --time-column ts --holdout 7d",
        ],
    ),
    (
        "train",
        &[
            "upnext train data --out model",
            "upnext train data --out model --validate --epochs 20 --set training.patience=3",
            "upnext train data --out knn --model vs-knn --set model.k=100",
            "upnext train --model bpr-mf --show-config > mine.toml",
        ],
    ),
    (
        "evaluate",
        &["upnext evaluate model data", "upnext evaluate model test.csv -k 5,20 --ties median --lists"],
    ),
    (
        "compare",
        &[
            "upnext compare data --report report.html",
            "upnext compare data --models pop,vs-knn,mine.toml,model --keep models",
            "upnext compare data --models vs-knn,mine.toml --windows 5",
        ],
    ),
    (
        "tune",
        &[
            "upnext tune data --out tuned",
            "upnext tune --model vs-knn --show-space > space.toml",
            "upnext tune data --out tuned --model vs-knn --space space.toml --trials 50",
        ],
    ),
    (
        "recommend",
        &[
            "upnext recommend model --session 12,7,99 -k 10 --exclude-seen",
            "upnext recommend model --sessions data --out lists.csv",
        ],
    ),
    (
        "similar",
        &[
            "upnext similar model --item 12 -k 10",
            "upnext similar model --item 12 --item 7 --catalogue titles.csv",
        ],
    ),
    (
        "vectors",
        &[
            "upnext vectors model --out items.parquet",
            "upnext vectors model --sessions data --out sessions.parquet",
        ],
    ),
    (
        "export",
        &[
            "upnext export onnx model --out model.onnx",
            "upnext export onnx model/members/gru4rec --out model.onnx -k 20",
        ],
    ),
    (
        "reproduce",
        &[
            "upnext reproduce rsc15 --clicks yoochoose-clicks.dat.gz --settings rsc15-top1-100",
            "upnext reproduce video-like --clicks clicks.csv --report report.html",
        ],
    ),
    (
        "reproduce rsc15",
        &[
            "upnext reproduce rsc15 --clicks yoochoose-clicks.dat.gz --report report.html",
            "upnext reproduce rsc15 --clicks yoochoose-clicks.dat.gz --settings pop,rsc15-top1-100 --scale 64",
        ],
    ),
    ("reproduce video-like", &["upnext reproduce video-like --clicks clicks.csv --report report.html"]),
    (
        "serve",
        &[
            "upnext serve model",
            "upnext serve model --listen 0.0.0.0:8080 --keys keys.txt --session-file sessions.log",
            "upnext serve --show-config > serve.toml",
        ],
    ),
    ("health", &["upnext health", "upnext health http://127.0.0.1:8081"]),
    (
        "load",
        &[
            "upnext load http://127.0.0.1:8080 --rate 200 --sessions data",
            "upnext load http://127.0.0.1:8080 --rate 1000 --model model --duration 5m",
        ],
    ),
    (
        "inspect",
        &[
            "upnext inspect clicks.csv",
            "upnext inspect model",
            "upnext inspect products.csv --items --item-type price=number",
        ],
    ),
    ("items", &["upnext items add model --items new.csv --out model2"]),
    (
        "items add",
        &[
            "upnext items add model --items new.csv --out model2",
            "upnext items add model --items new.parquet --out model",
        ],
    ),
    (
        "simulate",
        &[
            "upnext simulate --out clicks.csv",
            "upnext simulate --out clicks.csv.gz --sessions 100000 --seed 7",
        ],
    ),
    (
        "sql",
        &["upnext sql prepare --dialect duckdb --source \"'clicks/*.parquet'\" --out data > prepare.sql"],
    ),
    (
        "sql prepare",
        &[
            "upnext sql prepare --dialect duckdb --source \"'clicks/*.parquet'\" --out data > prepare.sql",
            "upnext sql prepare --dialect spark --source shop.clicks --session-column user --session-gap 30m --out data",
        ],
    ),
    (
        "completions",
        &[
            "upnext completions bash > ~/.local/share/bash-completion/completions/upnext",
            "upnext completions zsh > ~/.zfunc/_upnext",
            "upnext completions fish > ~/.config/fish/completions/upnext.fish",
        ],
    ),
    (
        "man",
        &["upnext man | man -l -", "upnext man train | man -l -", "upnext man --out ~/.local/share/man/man1"],
    ),
];
