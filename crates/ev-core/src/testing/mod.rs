//! Contract suites that every implementation must pass, and stand-ins for tests.
