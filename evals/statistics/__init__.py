"""Whether what was measured differs, by how much, and how sure that is. Plain numbers come in; nothing here knows a table.

`comparison` for two runs of the same examples, `two_samples` for arms whose callers are others, `sequential` for what is looked
at before it is over, `sample_ratio` for whether assignment went as it was told to, `cuped` for less noise, `power` for how
much is needed, and `corrections` for many questions at once. The longer ones are blocking: call them beside the event loop.
"""
