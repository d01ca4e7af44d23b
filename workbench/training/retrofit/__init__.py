"""Training a pretrained model to sleep."""
