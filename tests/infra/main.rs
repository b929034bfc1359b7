//! What holds the code and the template together.
