"""limbeck: feature-based knowledge distillation for any pair of PyTorch models."""
