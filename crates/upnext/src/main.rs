//! The program `upnext`, whose command line is implemented in the crate `upnext-cli`.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    upnext_cli::main()
}
