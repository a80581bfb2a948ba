//! The program `muster`; see the library of this room.

fn main() -> std::process::ExitCode {
    server::cli::main()
}
