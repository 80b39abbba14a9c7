//! The program `upnext`: its command line is the crate `upnext-cli`.

fn main() -> std::process::ExitCode {
    upnext_cli::main()
}
