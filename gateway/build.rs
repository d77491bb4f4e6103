//! Tells cargo that the migrations are part of the crate: `sqlx::migrate!` reads them while it compiles.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
