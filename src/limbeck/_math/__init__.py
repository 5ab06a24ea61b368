"""Pure functions of tensors that several families compute with."""
