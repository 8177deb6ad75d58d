"""Search in a collection with the steps that its settings ask for, those that take a model among them."""
