"""Where documents of a collection come from by themselves: places of several kinds, crawled now and by schedule."""
