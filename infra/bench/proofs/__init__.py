"""The parts of `make prove`, by what they are about; `infra.bench.parts` is their table."""
