"""The code capabilities: generate, explain, review, fix, tests, translate."""
