"""Ray and Daft for real, in programs of their own; ``make test-engines`` makes the environment they need."""
