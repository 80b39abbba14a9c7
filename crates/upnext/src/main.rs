//! The program `upnext`: its command line is the crate `upnext-cli`.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    upnext_cli::main()
}
