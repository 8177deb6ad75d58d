"""The administrators' pages, one module a section. Each does what the REST API does, through the API's own functions."""
