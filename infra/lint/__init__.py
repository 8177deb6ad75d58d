"""`make lint-infra`: what can be known of infra/ without a cloud, a cluster or a container engine.

`infra.lint.checks` is the table of the checks, one module each: a function of a `Tree` that yields `Finding`s. Checkers of
others live in an environment of their own, `.venv-infra`; what the application has is told by `infra.lint.application`.
"""
