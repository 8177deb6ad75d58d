"""Personal data in texts: found, taken out, put back. Nothing here is imported before somebody asks for it: the model and
its libraries take two seconds and some 150 MB."""
