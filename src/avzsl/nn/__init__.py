"""Network parts: tensors in, tensors out."""
