"""How much the features should weigh beside the output loss, and beside which output loss."""
