//! Who is calling, and may they: credentials, principals, tokens, rights.
