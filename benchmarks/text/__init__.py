"""A fine-tuned MiniLM teaches small students film reviews, with and without unlabelled ones."""
