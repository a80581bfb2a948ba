//! The program `muster`; see the library of this room.

/// Gives back what it no longer needs: glibc's keeps pages that a few small pieces lie on, so that a
/// server grows for hours. It is set up by `.cargo/config.toml`.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> std::process::ExitCode {
    server::cli::main()
}
