"""The HTTP edge: authentication, gate, LangServe and REST routes, pages. The only package that imports FastAPI."""
