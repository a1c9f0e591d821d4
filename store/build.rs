//! Builds again when a migration is added, which cargo does not see by itself.

fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
